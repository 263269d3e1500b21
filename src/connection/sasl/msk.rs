//! AWS_MSK_IAM: a presigned request to `kafka-cluster:Connect` (Signature Version 4), as one JSON message.

use std::time::{SystemTime, UNIX_EPOCH};

use super::hash::{Hash, hex};
use super::oauth::json_escaped;
use crate::config::security::{AwsCredentials, Secret};
use crate::error::{Error, Result};

/// How long the broker may take to see the message, in seconds; brokers accept up to 900.
const EXPIRES: &str = "900";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A key to sign with.
pub(in crate::connection) struct AwsKey {
    id: String,
    secret: Secret,
    session_token: Option<Secret>,
    /// What the environment says, for names that do not tell.
    region: Option<String>,
}

impl AwsKey {
    /// The key of this source, as it is now.
    pub(super) async fn from(source: &AwsCredentials) -> Result<Self> {
        match source {
            AwsCredentials::Environment => Self::of_environment(|name| std::env::var(name).ok()),
            AwsCredentials::Provider(source) => match source.0.credentials().await? {
                AwsCredentials::Environment => Self::of_environment(|name| std::env::var(name).ok()),
                given => Self::fixed(&given),
            },
            given => Self::fixed(given),
        }
    }

    fn fixed(given: &AwsCredentials) -> Result<Self> {
        let AwsCredentials::Static { access_key_id, secret_access_key, session_token } = given else {
            return Err(Error::invalid("AwsCredentials::Provider", "answered with another provider instead of a key"));
        };
        let (secret, session_token) = (secret_access_key.clone(), session_token.clone());
        Ok(Self { id: access_key_id.clone(), secret, session_token, region: None })
    }

    fn of_environment(read: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let read = |name: &str| read(name).filter(|value| !value.is_empty());
        let needed = |name: &str| {
            read(name).ok_or_else(|| Error::invalid(name, "is not set, which sasl.mechanism=AWS_MSK_IAM needs"))
        };
        let (id, secret) = (needed("AWS_ACCESS_KEY_ID")?, Secret::new(needed("AWS_SECRET_ACCESS_KEY")?));
        let region = read("AWS_REGION").or_else(|| read("AWS_DEFAULT_REGION"));
        Ok(Self { id, secret, session_token: read("AWS_SESSION_TOKEN").map(Secret::new), region })
    }
}

/// The client's only message. The region is read off the broker's name if none is given, and is the environment's if the
/// name does not tell, as behind PrivateLink.
pub(super) fn message(
    host: &str,
    region: Option<&str>,
    key: &AwsKey,
    now: SystemTime,
) -> std::result::Result<Secret, String> {
    let region = region.or_else(|| region_of(host)).or(key.region.as_deref()).ok_or_else(|| {
        format!("the name {host} does not tell the AWS region as an MSK broker's does; set AWS_REGION")
    })?;
    let presigned = Presigned {
        path: "/",
        host,
        region,
        service: "kafka-cluster",
        payload_hash: &hex(&Hash::Sha256.digest(b"")),
        expires: EXPIRES,
        action: Some("kafka-cluster:Connect"),
        stamp: &stamp(now),
    };
    let mut fields = vec![
        ("version", "2020_10_22".to_owned()),
        ("host", host.to_owned()),
        ("user-agent", concat!("milena/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("action", "kafka-cluster:Connect".to_owned()),
    ];
    fields.extend(presigned.parameters(key).into_iter().map(|(name, value)| (name, value.to_owned())));
    fields.push(("x-amz-signature", presigned.signature(key)));
    let quoted =
        |(name, value): &(&str, String)| format!(r#""{}":"{}""#, name.to_ascii_lowercase(), json_escaped(value));
    let fields: Vec<String> = fields.iter().map(quoted).collect();
    Ok(Secret::new(format!("{{{}}}", fields.join(","))))
}

/// `….kafka.REGION.amazonaws.com`, `….kafka-serverless.REGION.amazonaws.com` and those of China.
fn region_of(host: &str) -> Option<&str> {
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let (rest, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
    let service = rest.rsplit('.').next()?;
    matches!(service, "kafka" | "kafka-serverless").then_some(region)
}

/// A GET request whose signature travels in its query.
struct Presigned<'a> {
    path: &'a str,
    host: &'a str,
    region: &'a str,
    service: &'a str,
    payload_hash: &'a str,
    expires: &'a str,
    action: Option<&'a str>,
    /// `20130524T000000Z`.
    stamp: &'a str,
}

impl Presigned<'_> {
    fn day(&self) -> &str {
        self.stamp.get(..8).unwrap_or_default()
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day(), self.region, self.service)
    }

    /// The signed parameters but for the action, in the order of their names.
    fn parameters(&self, key: &AwsKey) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", format!("{}/{}", key.id, self.scope())),
            ("X-Amz-Date", self.stamp.to_owned()),
            ("X-Amz-Expires", self.expires.to_owned()),
        ];
        parameters.extend(key.session_token.iter().map(|token| ("X-Amz-Security-Token", token.expose().to_owned())));
        parameters.push(("X-Amz-SignedHeaders", "host".to_owned()));
        parameters
    }

    fn signature(&self, key: &AwsKey) -> String {
        let action = self.action.map(|action| ("Action", action.to_owned()));
        let query: Vec<String> = action
            .into_iter()
            .chain(self.parameters(key))
            .map(|(name, value)| format!("{name}={}", percent_encoded(&value)))
            .collect();
        let Self { path, host, payload_hash, stamp, .. } = self;
        let request = format!("GET\n{path}\n{}\nhost:{host}\n\nhost\n{payload_hash}", query.join("&"));
        let hashed = hex(&Hash::Sha256.digest(request.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{stamp}\n{}\n{hashed}", self.scope());
        let signing = signing_key(&key.secret, self.day(), self.region, self.service);
        hex(&Hash::Sha256.mac(&signing, to_sign.as_bytes()))
    }
}

fn signing_key(secret: &Secret, day: &str, region: &str, service: &str) -> zeroize::Zeroizing<Vec<u8>> {
    let first = Secret::concat(&["AWS4", secret.expose()]);
    let mut key = Hash::Sha256.mac(first.expose().as_bytes(), day.as_bytes());
    for part in [region, service, "aws4_request"] {
        key = Hash::Sha256.mac(&key, part.as_bytes());
    }
    key
}

/// RFC 3986: everything but letters, digits and `-._~`.
pub(super) fn percent_encoded(text: &str) -> String {
    // Room for the longest: the text may be a secret, and one that grows leaves copies behind.
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// UTC as `20130524T000000Z`.
fn stamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a day since 1970 (proleptic Gregorian; Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(session_token: Option<&str>) -> AwsKey {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        AwsKey {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret,
            session_token: session_token.map(Secret::new),
            region: None,
        }
    }

    const MAY_2013: Duration = Duration::from_secs(1_369_353_600);

    #[test]
    fn the_presigned_request_that_amazon_publishes() {
        // "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
        let presigned = Presigned {
            path: "/test.txt",
            host: "examplebucket.s3.amazonaws.com",
            region: "us-east-1",
            service: "s3",
            payload_hash: "UNSIGNED-PAYLOAD",
            expires: "86400",
            action: None,
            stamp: &stamp(UNIX_EPOCH + MAY_2013),
        };
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(presigned.signature(&key(None)), expected);
    }

    #[test]
    fn the_signing_key_that_amazon_publishes() {
        // "Examples of how to derive a signing key", AWS General Reference.
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = signing_key(&secret, "20120215", "us-east-1", "iam");
        assert_eq!(hex(&key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    #[test]
    fn the_message_has_the_fields_of_amazons_own_client() {
        let host = "b-1.demo.abc123.c2.kafka.eu-west-1.amazonaws.com";
        let message = message(host, None, &key(Some("FwoG\"+/=")), UNIX_EPOCH + MAY_2013).unwrap();
        let text = message.expose();
        let start = format!(
            r#"{{"version":"2020_10_22","host":"{host}","user-agent":"milena/{}","action":"kafka-cluster:Connect","x-amz-algorithm":"AWS4-HMAC-SHA256","x-amz-credential":"AKIAIOSFODNN7EXAMPLE/20130524/eu-west-1/kafka-cluster/aws4_request","x-amz-date":"20130524T000000Z","x-amz-expires":"900","x-amz-security-token":"FwoG\"+/=","x-amz-signedheaders":"host","x-amz-signature":""#,
            env!("CARGO_PKG_VERSION")
        );
        let signature = text.strip_prefix(&start).and_then(|rest| rest.strip_suffix("\"}")).unwrap();
        assert!(signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(!text.contains("wJalr"));
    }

    #[test]
    fn the_region_is_read_off_names_of_msk_only() {
        for (host, region) in [
            ("b-1.x.c2.kafka.us-east-1.amazonaws.com", Some("us-east-1")),
            ("boot-x.c1.kafka-serverless.us-west-2.amazonaws.com", Some("us-west-2")),
            ("b-1.x.kafka.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("b-1.x.s3.us-east-1.amazonaws.com", None),
            ("kafka-1.example.com", None),
            ("localhost", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
        assert!(super::message("localhost", None, &key(None), UNIX_EPOCH).unwrap_err().contains("AWS_REGION"));
        let all = |name: &str| Some(if name == "AWS_REGION" { "eu-west-1" } else { "x" }.to_owned());
        let (key, private_link) = (AwsKey::of_environment(all).unwrap(), "b-1.my-link.example");
        let message = super::message(private_link, None, &key, UNIX_EPOCH).unwrap();
        assert!(message.expose().contains("/eu-west-1/kafka-cluster/"), "{private_link}");
    }

    #[test]
    fn a_key_missing_from_the_environment_is_named() {
        let error = AwsKey::of_environment(|name| (name == "AWS_ACCESS_KEY_ID").then(|| "AKIA".into())).err().unwrap();
        assert!(error.to_string().contains("AWS_SECRET_ACCESS_KEY"), "{error}");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_819, (2027, 1, 1))] {
            assert_eq!(civil(days), date);
        }
    }
}
