//! What an authentication has to wait for: a password hashed off the socket's task, a token, a key.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::hash::Hash;
use super::msk::AwsKey;
use super::oauth;
use super::scram::Hashing;
use crate::config::security::{AwsCredentials, OAuthBearer, Token};
use crate::connection::transport::Dial;
use crate::error::{Error, ErrorKind, Operation};

/// Something that takes time.
pub(in crate::connection) enum Chore {
    /// Hash a password, on a thread of its own.
    Hash(Hashing),
    /// Get a token.
    Token(OAuthBearer),
    /// Get a key of AWS.
    AwsKey(AwsCredentials),
}

/// What came of it.
pub(in crate::connection) enum Product {
    Salted(Zeroizing<Vec<u8>>),
    Token(Token),
    AwsKey { key: AwsKey, now: SystemTime },
    Failed(Error),
}

impl Chore {
    /// What a user reads if it takes too long.
    pub(in crate::connection) fn stage(&self) -> &'static str {
        match self {
            Self::Hash(_) => "hashing the password",
            Self::Token(_) => "authenticating: waiting for a token (sasl.mechanism=OAUTHBEARER)",
            Self::AwsKey(_) => "authenticating: waiting for a key of AWS (sasl.mechanism=AWS_MSK_IAM)",
        }
    }

    /// Does it; `dial` is the way to a token endpoint. The caller bounds the time; safe to drop.
    pub(in crate::connection) async fn run(self, dial: &dyn Dial) -> Product {
        match self {
            Self::Hash(hashing) => hash(hashing).await,
            Self::Token(source) => match oauth::token(&source, dial).await {
                Ok(token) => Product::Token(token),
                Err(error) => Product::Failed(error),
            },
            Self::AwsKey(source) => match AwsKey::from(&source).await {
                Ok(key) => Product::AwsKey { key, now: SystemTime::now() },
                Err(error) => Product::Failed(error),
            },
        }
    }
}

impl fmt::Debug for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "hashing the password",
            Self::Token(_) => "waiting for a token",
            Self::AwsKey(_) => "waiting for an AWS key",
        })
    }
}

async fn hash(hashing: Hashing) -> Product {
    let place = cache().place(CacheKey::of(&hashing));
    let hashed = place.get_or_try_init(|| tokio::task::spawn_blocking(move || hashing.run())).await;
    match hashed {
        Ok(salted) => Product::Salted(salted.clone()),
        Err(_) => Product::Failed(Error::new(Operation::Connect, ErrorKind::Closed, "", "the runtime shuts down")),
    }
}

/// Where a hashed password is, or will be: whoever comes while it is being hashed waits for it.
type Place = Arc<OnceCell<Zeroizing<Vec<u8>>>>;

/// Hashed passwords of this process: a hundred connections of one user hash once, not a hundred times, together too.
static CACHE: Mutex<Cache> = Mutex::new(Cache(VecDeque::new()));
/// Users times brokers' salts; the oldest goes first.
const CACHED: usize = 64;

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Cache(VecDeque<(CacheKey, Place)>);

/// All that goes into the hash, itself hashed, so that the cache keeps no password.
#[derive(PartialEq, Eq)]
struct CacheKey(Vec<u8>);

impl CacheKey {
    fn of(hashing: &Hashing) -> Self {
        let (salt, password) = (&hashing.salt, hashing.password.expose());
        // Room for all of it: memory that grows leaves copies behind.
        let mut all = Zeroizing::new(Vec::with_capacity(16 + salt.len() + password.len()));
        all.push(hashing.hash as u8);
        all.extend_from_slice(&hashing.iterations.to_be_bytes());
        all.extend_from_slice(&u64::try_from(salt.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend_from_slice(salt);
        all.extend_from_slice(password.as_bytes());
        Self(Hash::Sha256.digest(&all).to_vec())
    }
}

impl Cache {
    /// The place of this hash, empty if it is new.
    fn place(&mut self, key: CacheKey) -> Place {
        if let Some((_, place)) = self.0.iter().find(|(of, _)| *of == key) {
            return Arc::clone(place);
        }
        if self.0.len() >= CACHED {
            self.0.pop_front();
        }
        let place = Place::default();
        self.0.push_back((key, Arc::clone(&place)));
        place
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config::security::Secret;

    fn hashing(password: &str, salt: &[u8], iterations: u32) -> Hashing {
        Hashing { hash: Hash::Sha256, password: Secret::new(password), salt: salt.to_vec(), iterations }
    }

    #[tokio::test]
    async fn a_password_is_hashed_once_for_each_salt_and_count() {
        let expected = hashing("pencil", b"salt", 4096).run();
        for _ in 0..2 {
            let Product::Salted(salted) = hash(hashing("pencil", b"salt", 4096)).await else { panic!("not hashed") };
            assert_eq!(salted, expected);
        }
        let is_hashed = |h: Hashing| cache().place(CacheKey::of(&h)).initialized();
        assert!(is_hashed(hashing("pencil", b"salt", 4096)));
        for other in
            [hashing("pencil", b"salt", 4097), hashing("pencil", b"sal", 4096), hashing("Pencil", b"salt", 4096)]
        {
            assert!(!is_hashed(other));
        }
    }

    #[tokio::test]
    async fn those_who_come_together_hash_once_and_one_who_leaves_holds_up_nobody() {
        let wanted = || hashing("together", b"salt", 20_000);
        let place = cache().place(CacheKey::of(&wanted()));
        tokio::select! {
            biased;
            _ = hash(wanted()) => panic!("hashed before it was waited for"),
            () = std::future::ready(()) => {}
        }
        assert!(!place.initialized(), "whoever began has left");
        let (Product::Salted(a), Product::Salted(b)) = tokio::join!(hash(wanted()), hash(wanted())) else {
            panic!("not hashed")
        };
        assert!(a == b && place.get() == Some(&a), "both have what is in the one place");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn connections_on_the_same_thread_go_on_while_a_password_is_hashed() {
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        assert!(matches!(hash(hashing("elsewhere", b"salt", 200_000)).await, Product::Salted(_)));
        other.abort();
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns > 10, "another task of the thread had {turns} turns only");
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache(VecDeque::new());
        let key = |n: usize| CacheKey(vec![u8::try_from(n).unwrap()]);
        for n in 0..CACHED + 5 {
            cache.place(key(n)).set(Zeroizing::new(vec![1])).unwrap();
        }
        assert_eq!(cache.0.len(), CACHED);
        assert!(cache.place(key(68)).initialized() && !cache.place(key(0)).initialized());
    }
}
