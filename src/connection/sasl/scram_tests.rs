//! The published exchanges, and every way a server may lie.

use super::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

/// The exchange of RFC 7677 section 3, up to the client's proof.
fn proven() -> (Scram, Secret) {
    let mut scram = Scram::new(Hash::Sha256, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
    assert_eq!(scram.first().expose(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let salted = scram.handle_first(SERVER_FIRST.as_bytes()).unwrap().run();
    let proof = scram.handle_salted(&salted).unwrap();
    (scram, proof)
}

#[test]
fn the_exchange_of_rfc_7677() {
    let (mut scram, proof) = proven();
    let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(proof.expose(), expected);
    scram.handle_final(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
}

/// No RFC has one with SHA-512: computed by hashlib and hmac of Python 3, which give the one above with SHA-256.
#[test]
fn the_same_exchange_with_sha_512() {
    let mut scram = Scram::new(Hash::Sha512, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
    let salted = scram.handle_first(SERVER_FIRST.as_bytes()).unwrap().run();
    let proof = scram.handle_salted(&salted).unwrap();
    let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    assert_eq!(proof.expose(), expected);
    let signature = "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
    scram.handle_final(signature.as_bytes()).unwrap();
}

#[test]
fn hi_of_rfc_5802_is_pbkdf2() {
    // RFC 7914 section 11 has PBKDF2-HMAC-SHA-256 with one block and more; the first 32 bytes are `Hi`.
    let salted = Hash::Sha256.salted(b"passwd", b"salt", 1);
    assert_eq!(super::super::hash::hex(&salted), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    let salted = Hash::Sha256.salted(b"Password", b"NaCl", 80_000);
    assert_eq!(super::super::hash::hex(&salted), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

/// The passwords and salts of RFC 6070 with SHA-512, as implementations of it publish them and Python's hashlib gives them.
#[test]
fn hi_with_sha_512_is_pbkdf2_too() {
    for (iterations, expected) in [
        (
            1,
            "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252\
             c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce",
        ),
        (
            2,
            "e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c\
             f76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e",
        ),
        (
            4096,
            "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5\
             143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5",
        ),
    ] {
        let salted = Hash::Sha512.salted(b"password", b"salt", iterations);
        assert_eq!(super::super::hash::hex(&salted), expected, "{iterations}");
    }
}

#[test]
fn a_mac_with_sha_512_is_that_of_rfc_4231() {
    let mac = Hash::Sha512.mac(b"Jefe", b"what do ya want for nothing?");
    let expected = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
                    caeab1a34d4a6b4b636e070a38bce737";
    assert_eq!(super::super::hash::hex(&mac), expected);
}

#[test]
fn a_lying_first_message_is_refused() {
    let own = "r=rOprNGfwEbeRWgbNEkqOx";
    for (message, words) in [
        ("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0S,i=4096".into(), "does not extend"),
        ("r=rOprNGfw,s=W22ZaJ0S,i=4096".into(), "does not extend"),
        ("r=xOprNGfwEbeRWgbNEkqOyyyyyy,s=W22ZaJ0S,i=4096".into(), "does not extend"),
        ("r=rOprNGfwEbeRWgbNEkqO\u{e9},s=W22ZaJ0S,i=4096".into(), "does not extend"),
        (format!("m=ext,{own},s=W22ZaJ0S,i=4096"), "mandatory extension"),
        (format!("{own},m=ext,s=W22ZaJ0S,i=4096"), "mandatory extension"),
        (format!("{own},s=W22ZaJ0S"), "without `i=`"),
        (format!("{own},i=4096"), "without `s=`"),
        ("s=W22ZaJ0S,i=4096".into(), "without `r=`"),
        (format!("s=W22ZaJ0S,{own},i=4096"), "without `r=`"),
        (String::new(), "without `r=`"),
        (format!("{own},s=,i=4096"), "a salt of 0 bytes"),
        (format!("{own},s=!!,i=4096"), "not base64"),
        (format!("{own},s={},i=4096", "AAAA".repeat(400)), "a salt of 1200 bytes"),
        (format!("{own},s=W22ZaJ0S,i=1"), "1 iterations, where 4096 to 1000000"),
        (format!("{own},s=W22ZaJ0S,i=4095"), "4095 iterations"),
        (format!("{own},s=W22ZaJ0S,i=1000001"), "1000001 iterations"),
        (format!("{own},s=W22ZaJ0S,i=1000000000"), "1000000000 iterations"),
        (format!("{own},s=W22ZaJ0S,i=99999999999"), "no number"),
        (format!("{own},s=W22ZaJ0S,i=-1"), "no number"),
        (format!("{own},s=W22ZaJ0S,i=+4096"), "no number"),
        (format!("{own},s=W22ZaJ0S,i="), "no number"),
        (format!("{own},s=W22ZaJ0S,i=4096,x=1"), "more than nonce"),
        ("e=other-error".into(), "without `r=`"),
    ] {
        let mut scram = Scram::new(Hash::Sha256, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
        let error = scram.handle_first(message.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{message}: {error}");
    }
    let mut scram = Scram::new(Hash::Sha256, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
    assert!(scram.handle_first(&[0xff, 0xfe]).unwrap_err().contains("UTF-8"));
}

#[test]
fn a_lying_final_message_is_refused() {
    for (message, words) in [
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "not base64"),
        ("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "does not know the password"),
        ("v=6rriTRBi23WpRR/wtup+", "does not know the password"),
        ("v=", "does not know the password"),
        ("", "without a signature"),
        ("m=x,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "without a signature"),
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x=1", "not base64"),
        ("e=invalid-proof\u{7}", "the error `invalid-proof `"),
    ] {
        let (mut scram, _) = proven();
        let error = scram.handle_final(message.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{message}: {error}");
        assert!(!error.contains("pencil"));
    }
}

#[test]
fn messages_out_of_turn_are_refused() {
    let mut scram = Scram::new(Hash::Sha512, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
    assert!(scram.handle_final(b"v=AAAA").is_err());
    assert!(scram.handle_first(SERVER_FIRST.as_bytes()).is_err(), "nothing goes on after a refusal");
    let (mut scram, _) = proven();
    assert!(scram.handle_first(SERVER_FIRST.as_bytes()).is_err());
    assert!(scram.handle_salted(&[0; 32]).is_err());
}

#[test]
fn names_are_prepared_and_escaped() {
    let first = |name: &str| {
        let scram = Scram::new(Hash::Sha256, name, &Secret::new("x"), "n".into()).unwrap();
        scram.first().expose().to_owned()
    };
    assert_eq!(first("a=b,c"), "n,,n=a=3Db=2Cc,r=n");
    assert_eq!(first("I\u{AD}X"), "n,,n=IX,r=n");
    for (name, password, setting) in [("\u{7}", "x", "sasl.username"), ("x", "\u{7}", "sasl.password")] {
        let error = Scram::new(Hash::Sha256, name, &Secret::new(password), "n".into()).err().unwrap();
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn what_is_to_be_hashed_does_not_print_the_password() {
    let mut scram = Scram::new(Hash::Sha256, "user", &Secret::new("pencil"), NONCE.into()).unwrap();
    let hashing = scram.handle_first(SERVER_FIRST.as_bytes()).unwrap();
    assert_eq!(format!("{hashing:?}"), "Hashing(Sha256, 4096 iterations)");
}
