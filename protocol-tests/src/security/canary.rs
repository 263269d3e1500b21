//! A log at TRACE that is kept in memory, and the search for secrets in it.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A password that is found wherever it leaks.
pub const CANARY: &str = "canary-9c1f-password";
/// What every canary begins with.
const MARK: &str = "canary-9c1f";

/// What else is secret, in each of its forms.
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How much of the log has been searched.
static SEARCHED: Mutex<usize> = Mutex::new(0);

/// All that was logged in this process.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs everything at TRACE from here on, and the words of panics.
pub fn traced() -> &'static str {
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        subscriber.with_ansi(false).with_writer(move || writer.clone()).init();
        let (usual, panics) = (std::panic::take_hook(), log.clone());
        std::panic::set_hook(Box::new(move |panic| {
            let _ = writeln!(&mut panics.clone(), "{panic}");
            usual(panic);
        }));
        log
    });
    "traced"
}

/// All that was logged since [`traced`].
pub fn logged() -> String {
    LOG.get().map(|log| String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned()).unwrap_or_default()
}

/// From here on this is a secret too: a password, a token, the bytes of a key.
pub fn keep_secret(secret: &[u8]) {
    SECRETS.lock().unwrap().extend(forms(secret));
}

/// How a secret shows up: as it is, in base64 wherever it begins, as a list of bytes.
fn forms(secret: &[u8]) -> Vec<String> {
    let bytes: Vec<String> = secret.iter().take(6).map(u8::to_string).collect();
    let mut forms = vec![bytes.join(", ")];
    forms.extend(std::str::from_utf8(secret).map(str::to_owned));
    for skipped in 0..3.min(secret.len()) {
        let part = &secret[skipped..];
        forms.push(STANDARD.encode(&part[..part.len() / 3 * 3]));
    }
    forms
}

/// What was logged since the last search: a secret is known before it is used, so nothing has to be searched twice.
fn logged_since() -> String {
    let Some(log) = LOG.get() else { return String::new() };
    let (log, mut searched) = (log.0.lock().unwrap(), SEARCHED.lock().unwrap());
    let new = String::from_utf8_lossy(&log[*searched..]).into_owned();
    *searched = log.len();
    new
}

/// Panics if a secret was logged, was in the words of a panic, or is in `text`, in any of its forms.
pub fn assert_nothing_leaked(text: &str) {
    let (logged, secrets) = (logged_since(), SECRETS.lock().unwrap().clone());
    for form in forms(MARK.as_bytes()).into_iter().chain(secrets) {
        for place in [&logged, text] {
            if place.contains(&form) {
                panic!("a secret leaked: {:?}", place.lines().find(|line| line.contains(&form)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic = "a secret leaked"]
    fn a_key_in_the_words_of_an_error_is_found() {
        let issued = crate::security::Authority::new("ca").client("alice", crate::security::Validity::Now);
        let line = issued.key.expose().lines().nth(1).unwrap().to_owned();
        assert_nothing_leaked(&line);
    }

    #[test]
    fn a_password_is_found_as_text_in_base64_and_as_bytes() {
        for text in [CANARY.to_owned(), STANDARD.encode(format!("\0a\0{CANARY}")), format!("{:?}", CANARY.as_bytes())] {
            assert!(std::panic::catch_unwind(|| assert_nothing_leaked(&text)).is_err(), "{text}");
        }
        assert_nothing_leaked("nothing of that kind");
    }
}
