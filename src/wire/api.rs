//! Which APIs we speak, at which versions and why no higher: one row each; and what one broker makes of it.

use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

/// One API: its number, its name, the versions we speak and the reason where we stop short of the newest.
#[derive(Debug)]
pub struct Api {
    /// Kafka's key.
    pub key: ApiKey,
    /// Kafka's name, as `Fetch`.
    pub name: &'static str,
    /// Oldest version we speak.
    pub min: i16,
    /// Newest version we speak.
    pub max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` if none has them.
    pub flexible_from: i16,
    /// Why `max` is not Kafka's newest, if it is not.
    pub cap: Option<&'static str>,
}

/// Every API we speak, by key.
pub static APIS: &[Api] = &[];

/// The row of `key`, if we speak it.
pub fn api(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

/// What one broker speaks, as its ApiVersions answer told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerVersions {}

/// The broker offers no version of an API that we speak. The feature it would serve is the caller's to name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCommonVersion {
    /// The API's name.
    pub api: &'static str,
    /// The versions we speak.
    pub ours: (i16, i16),
    /// The versions the broker speaks; `None` if it lacks the API.
    pub theirs: Option<(i16, i16)>,
}

impl BrokerVersions {
    /// Reads a broker's answer. Ranges upside down and repeated keys are ignored, as if the API were missing.
    pub fn from_response(_response: &ApiVersionsResponse) -> Self {
        todo!()
    }

    /// The newest version both sides speak.
    pub fn negotiate(&self, _key: ApiKey) -> Result<i16, NoCommonVersion> {
        todo!()
    }

    /// The newest version both sides speak that is at most `cap` (Produce 11 and EndTxn 4 under TV1).
    pub fn negotiate_up_to(&self, _key: ApiKey, _cap: i16) -> Result<i16, NoCommonVersion> {
        todo!()
    }

    /// The finalized level of a cluster feature such as `transaction.version`; 0 if the broker named none.
    pub fn finalized_feature(&self, _name: &str) -> i16 {
        todo!()
    }

    /// Every feature with its supported range and finalized level: `(name, min, max, finalized)`.
    pub fn features(&self) -> Vec<(String, i16, i16, i16)> {
        todo!()
    }
}
