//! What an authentication has to wait for: a password hashed off the socket's task, a token, a key.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::hash::Hash;
use super::msk::AwsKey;
use super::oauth;
use super::scram::Hashing;
use crate::config::security::{AwsCredentials, OAuthBearer, Token};
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
    /// Does it. The caller bounds the time; safe to drop.
    pub(in crate::connection) async fn run(self) -> Product {
        match self {
            Self::Hash(hashing) => hash(hashing).await,
            Self::Token(source) => match oauth::token(&source).await {
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
    let key = CacheKey::of(&hashing);
    if let Some(salted) = cache().get(&key) {
        return Product::Salted(salted);
    }
    match tokio::task::spawn_blocking(move || hashing.run()).await {
        Ok(salted) => {
            cache().put(key, salted.clone());
            Product::Salted(salted)
        }
        Err(_) => Product::Failed(Error::new(Operation::Connect, ErrorKind::Closed, "", "the runtime shuts down")),
    }
}

/// Hashed passwords of this process: a hundred connections of one user hash once, not a hundred times.
static CACHE: Mutex<Cache> = Mutex::new(Cache(VecDeque::new()));
/// Users times brokers' salts; the oldest goes first.
const CACHED: usize = 64;

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Cache(VecDeque<(CacheKey, Zeroizing<Vec<u8>>)>);

/// All that goes into the hash, itself hashed, so that the cache keeps no password.
#[derive(PartialEq, Eq)]
struct CacheKey(Vec<u8>);

impl CacheKey {
    fn of(hashing: &Hashing) -> Self {
        let mut all = Zeroizing::new(vec![hashing.hash as u8]);
        all.extend_from_slice(&hashing.iterations.to_be_bytes());
        all.extend_from_slice(&u64::try_from(hashing.salt.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend_from_slice(&hashing.salt);
        all.extend_from_slice(hashing.password.expose().as_bytes());
        Self(Hash::Sha256.digest(&all).to_vec())
    }
}

impl Cache {
    fn get(&self, key: &CacheKey) -> Option<Zeroizing<Vec<u8>>> {
        self.0.iter().find(|(of, _)| of == key).map(|(_, salted)| salted.clone())
    }

    fn put(&mut self, key: CacheKey, salted: Zeroizing<Vec<u8>>) {
        if self.0.iter().any(|(of, _)| *of == key) {
            return;
        }
        if self.0.len() >= CACHED {
            self.0.pop_front();
        }
        self.0.push_back((key, salted));
    }
}

#[cfg(test)]
mod tests {
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
        let key = |h: Hashing| CacheKey::of(&h);
        assert!(cache().get(&key(hashing("pencil", b"salt", 4096))).is_some());
        for other in
            [hashing("pencil", b"salt", 4097), hashing("pencil", b"sal", 4096), hashing("Pencil", b"salt", 4096)]
        {
            assert!(cache().get(&key(other)).is_none());
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache(VecDeque::new());
        for n in 0..CACHED + 5 {
            cache.put(CacheKey(vec![u8::try_from(n).unwrap()]), Zeroizing::new(vec![1]));
        }
        assert_eq!(cache.0.len(), CACHED);
        assert!(cache.get(&CacheKey(vec![0])).is_none() && cache.get(&CacheKey(vec![68])).is_some());
    }
}
