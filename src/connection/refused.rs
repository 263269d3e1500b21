//! A login that was refused is not repeated at once, by whichever caller, so that trying again does not lock an account.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::handshake::Refusal;

/// How long the broker is left alone after a first refusal; twice as long after each further one.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);
/// Logins remembered by a process; the oldest is forgotten first.
const REMEMBERED: usize = 64;

/// Who tried to log in where, hashed: a changed password is another login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LoginKey(pub(super) Vec<u8>);

#[derive(Debug)]
struct Entry {
    key: LoginKey,
    refusal: Refusal,
    wait: Duration,
    until: Instant,
}

/// The refusals of one process, or of one test.
#[derive(Debug)]
pub(super) struct Refused(VecDeque<Entry>);

static REFUSED: Mutex<Refused> = Mutex::new(Refused::new());

/// The refusals of this process.
pub(super) fn refused() -> MutexGuard<'static, Refused> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Refused {
    const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// The refusal that still stands, without asking the broker again.
    pub(super) fn standing(&self, key: &LoginKey, now: Instant) -> Option<Refusal> {
        let entry = self.0.iter().find(|entry| entry.key == *key && now < entry.until)?;
        Some(entry.refusal.clone())
    }

    /// The broker refused, or the token endpoint did for good.
    pub(super) fn handle_refusal(&mut self, key: LoginKey, now: Instant, refusal: &Refusal) {
        let is_final = match refusal {
            Refusal::Authentication(..) => true,
            Refusal::Credentials(cause) => !cause.is_retriable(),
            _ => false,
        };
        if !is_final {
            return;
        }
        let before = self.forget(&key);
        let wait = before.map_or(FIRST, |entry| (entry.wait * 2).min(LONGEST));
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Entry { key, refusal: refusal.clone(), wait, until: now + wait });
    }

    /// The broker let the login in.
    pub(super) fn handle_login(&mut self, key: &LoginKey) {
        self.forget(key);
    }

    fn forget(&mut self, key: &LoginKey) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.key == *key)?;
        self.0.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn key(name: &str) -> LoginKey {
        LoginKey(name.into())
    }

    fn refusal() -> Refusal {
        Refusal::Authentication(ErrorCode::SASL_AUTHENTICATION_FAILED, "wrong".into())
    }

    #[test]
    fn a_refused_login_is_left_alone_for_longer_and_longer() {
        let (mut refused, mut now) = (Refused::new(), Instant::now());
        for wait in [500, 1000, 2000, 4000, 8000, 10_000, 10_000].map(Duration::from_millis) {
            assert!(refused.standing(&key("a"), now).is_none());
            refused.handle_refusal(key("a"), now, &refusal());
            assert!(refused.standing(&key("a"), now + wait - Duration::from_millis(1)).is_some());
            now += wait;
        }
        refused.handle_login(&key("a"));
        refused.handle_refusal(key("a"), now, &refusal());
        assert!(refused.standing(&key("a"), now + FIRST).is_none(), "a login that worked starts over");
    }

    #[test]
    fn other_logins_and_other_failures_are_not_held_back() {
        let (mut refused, now) = (Refused::new(), Instant::now());
        refused.handle_refusal(key("a"), now, &refusal());
        assert!(refused.standing(&key("b"), now).is_none());
        refused.handle_refusal(key("b"), now, &Refusal::Peer("gone".into()));
        assert!(refused.standing(&key("b"), now).is_none());
        let secret = crate::error::Error::invalid("sasl.oauthbearer.client.credentials.client.secret", "is refused");
        let busy = secret.clone().with_recovery(crate::error::Recovery::Retry);
        refused.handle_refusal(key("b"), now, &Refusal::Credentials(busy));
        assert!(refused.standing(&key("b"), now).is_none(), "an endpoint that is busy is asked again");
        refused.handle_refusal(key("b"), now, &Refusal::Credentials(secret));
        assert!(refused.standing(&key("b"), now).is_some(), "an endpoint that refuses is left alone");
        for n in 0..2 * REMEMBERED {
            refused.handle_refusal(key(&n.to_string()), now, &refusal());
        }
        assert_eq!(refused.0.len(), REMEMBERED);
    }
}
