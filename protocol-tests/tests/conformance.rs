//! `docs/conformance.md` says what the tables, the fixtures and the types say.

use std::{env, fs};

use protocol_tests::conformance::{document, path};

#[test]
fn the_conformance_table_is_what_the_code_can_do() {
    let document = document();
    if env::var_os("MILENA_REGENERATE").is_some() {
        fs::write(path(), &document).expect("docs can be written");
    }
    let kept = fs::read_to_string(path()).unwrap_or_default();
    let advice = "is stale: MILENA_REGENERATE=1 cargo test -p protocol-tests --test conformance";
    assert!(kept == document, "{} {advice}", path().display());
}
