//! `sasl.*`: the mechanism and its credentials, from a JAAS line or from librdkafka's names.

use std::time::Duration;

use super::{Raw, at_most_one, tls};
use crate::config::jaas::{self, LoginModule};
use crate::config::security::{
    AwsCredentials, AwsMskIam, OAuthBearer, OidcClientCredentials, Pem, Roots, SaslMechanism, Secret, UnsecuredToken,
};
use crate::error::{Error, Result};

const JAAS: &str = "sasl.jaas.config";
const MECHANISM: &str = "sasl.mechanism";
const TOKEN_URL: &str = "sasl.oauthbearer.token.endpoint.url";
const HTTPS_CA: [&str; 2] = ["https.ca.location", "https.ca.pem"];

/// What each mechanism's login module is called, without its package.
const MODULES: [(&str, &str); 5] = [
    ("PLAIN", "PlainLoginModule"),
    ("SCRAM-SHA-256", "ScramLoginModule"),
    ("SCRAM-SHA-512", "ScramLoginModule"),
    ("OAUTHBEARER", "OAuthBearerLoginModule"),
    ("AWS_MSK_IAM", "IAMLoginModule"),
];

pub(super) fn mechanism(raw: &Raw) -> Result<SaslMechanism> {
    let names = MODULES.map(|(name, _)| name).join(", ");
    let Some(name) = raw.get(MECHANISM) else {
        let detail =
            format!("is not set, and Kafka's default, GSSAPI (Kerberos), is not spoken here; set one of {names}");
        return Err(Error::invalid(MECHANISM, detail));
    };
    let name = name.to_ascii_uppercase();
    let jaas = raw.get(JAAS).map(jaas::parse).transpose().map_err(|detail| Error::invalid(JAAS, detail))?;
    if let Some(module) = &jaas {
        check_module(module, &name)?;
    }
    match name.as_str() {
        "PLAIN" => {
            credentials(raw, jaas, &name).map(|(username, password)| SaslMechanism::Plain { username, password })
        }
        "SCRAM-SHA-256" => {
            credentials(raw, jaas, &name).map(|(username, password)| SaslMechanism::ScramSha256 { username, password })
        }
        "SCRAM-SHA-512" => {
            credentials(raw, jaas, &name).map(|(username, password)| SaslMechanism::ScramSha512 { username, password })
        }
        "OAUTHBEARER" => token(raw, jaas).map(SaslMechanism::OAuthBearer),
        "AWS_MSK_IAM" => msk(jaas).map(SaslMechanism::AwsMskIam),
        _ => Err(Error::invalid(MECHANISM, format!("`{name}` is not spoken here; set one of {names}"))),
    }
}

/// A module of another mechanism was meant for another mechanism.
fn check_module(module: &LoginModule, mechanism: &str) -> Result<()> {
    let class = module.class.rsplit('.').next().unwrap_or_default();
    let Some((_, expected)) = MODULES.iter().find(|(name, _)| *name == mechanism) else { return Ok(()) };
    if class == *expected {
        return Ok(());
    }
    // Only a class that is known is repeated: what stands there by mistake may be a password.
    let known = MODULES.iter().find(|(_, known)| *known == class).map_or("another class", |(_, known)| known);
    let detail = format!("names {known}, and sasl.mechanism={mechanism} goes with {expected}; change one of the two");
    Err(Error::invalid(JAAS, detail))
}

/// One option of the module, or an error that names it.
fn required(module: &mut LoginModule, option: &str) -> Result<Secret> {
    let value = module.options.remove(option).filter(|value| !value.expose().is_empty());
    value.ok_or_else(|| Error::invalid(JAAS, format!("the option {option} is missing; write {option}=\"...\"")))
}

fn credentials(raw: &Raw, jaas: Option<LoginModule>, mechanism: &str) -> Result<(String, Secret)> {
    let (username, password) = (raw.get("sasl.username"), raw.secret("sasl.password"));
    match (jaas, username, password) {
        (Some(_), Some(_), _) => Err(Error::invalid(JAAS, "says the same thing as sasl.username; give one of them")),
        (Some(_), _, Some(_)) => Err(Error::invalid(JAAS, "says the same thing as sasl.password; give one of them")),
        (Some(mut module), None, None) => {
            if module.options.contains_key("tokenauth") {
                return Err(Error::invalid(
                    JAAS,
                    "delegation tokens (tokenauth) are not supported; give a user's password",
                ));
            }
            let username = required(&mut module, "username")?;
            Ok((username.expose().to_owned(), required(&mut module, "password")?))
        }
        (None, Some(username), Some(password)) => Ok((username.to_owned(), password)),
        (None, Some(_), None) => Err(Error::invalid("sasl.password", "is not set; sasl.username needs it")),
        (None, None, _) => {
            let detail =
                format!("is not set; sasl.mechanism={mechanism} needs it with sasl.password, or sasl.jaas.config");
            Err(Error::invalid("sasl.username", detail))
        }
    }
}

/// A token of an identity provider if an endpoint is given, else an unsigned one if the JAAS line asks for it by name.
fn token(raw: &Raw, jaas: Option<LoginModule>) -> Result<OAuthBearer> {
    let mut module = jaas.unwrap_or_else(|| LoginModule { class: String::new(), options: Default::default() });
    if let Some(url) = raw.get(TOKEN_URL) {
        return oidc(raw, &mut module, url).map(|oidc| OAuthBearer::ClientCredentials(Box::new(oidc)));
    }
    match module.options.remove("unsecuredLoginStringClaim_sub") {
        Some(subject) => unsecured(&mut module, subject.expose().to_owned()).map(OAuthBearer::UnsecuredForTests),
        None => {
            let detail = "is not set; OAUTHBEARER needs it with sasl.oauthbearer.client.credentials.client.id and \
                          .secret (for tests: sasl.jaas.config with unsecuredLoginStringClaim_sub)";
            Err(Error::invalid(TOKEN_URL, detail))
        }
    }
}

fn oidc(raw: &Raw, module: &mut LoginModule, url: &str) -> Result<OidcClientCredentials> {
    if !url.starts_with("https://") {
        return Err(Error::invalid(TOKEN_URL, "must begin with https://: the client's secret is sent there"));
    }
    let mut part = |setting: &str, option: &str| {
        let (given, in_jaas) = (raw.secret(setting), module.options.remove(option));
        match (given, in_jaas) {
            (Some(_), Some(_)) => {
                Err(Error::invalid(setting, format!("says the same thing as {option} in {JAAS}; give one of them")))
            }
            (given, in_jaas) => Ok(given.or(in_jaas)),
        }
    };
    let id = part("sasl.oauthbearer.client.credentials.client.id", "clientId")?;
    let secret = part("sasl.oauthbearer.client.credentials.client.secret", "clientSecret")?;
    let scope = part("sasl.oauthbearer.scope", "scope")?;
    let missing = |name| Error::invalid(name, format!("is not set; {TOKEN_URL} needs it"));
    let id = id.ok_or_else(|| missing("sasl.oauthbearer.client.credentials.client.id"))?;
    let secret = secret.ok_or_else(|| missing("sasl.oauthbearer.client.credentials.client.secret"))?;
    let mut oidc = OidcClientCredentials::new(url, id.expose(), secret);
    oidc.scope = scope.map(|scope| scope.expose().to_owned());
    oidc.extensions = extensions(raw, module)?;
    let given = at_most_one(raw, &HTTPS_CA)?;
    match (module.options.remove("ssl.truststore.location"), given) {
        (Some(_), Some((name, _))) => {
            let detail = format!("says the same thing as ssl.truststore.location in {JAAS}; give one of them");
            return Err(Error::invalid(name, detail));
        }
        (Some(path), None) => oidc.roots = Roots::Pem(Pem::File(path.expose().into())),
        (None, Some((name, value))) => oidc.roots = Roots::Pem(tls::pem(name, value)),
        (None, None) => {}
    }
    Ok(oidc)
}

/// Roots of an endpoint that nobody asks were meant for another setting.
pub(super) fn check_https(raw: &Raw) -> Result<()> {
    match raw.beginning("https.").next().filter(|_| raw.get(TOKEN_URL).is_none()) {
        Some(name) => Err(Error::invalid(name, format!("is for {TOKEN_URL}, which is not set; leave it out"))),
        None => Ok(()),
    }
}

/// `extension_NAME` of the JAAS line, or librdkafka's list.
fn extensions(raw: &Raw, module: &LoginModule) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (option, value) in &module.options {
        all.extend(option.strip_prefix("extension_").map(|name| (name.to_owned(), value.expose().to_owned())));
    }
    for entry in raw.get("sasl.oauthbearer.extensions").into_iter().flat_map(|list| list.split(',')) {
        let pair = entry.split_once('=');
        let (name, value) =
            pair.ok_or_else(|| Error::invalid("sasl.oauthbearer.extensions", "takes name=value, separated by commas"))?;
        all.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let is_name = |name: &str| !name.is_empty() && name != "auth" && name.bytes().all(|b| b.is_ascii_alphabetic());
    match all.iter().find(|(name, _)| !is_name(name)) {
        Some((name, _)) => {
            let detail = format!("the extension `{name}` has a name that is not letters, or is `auth`, which is taken");
            Err(Error::invalid("sasl.oauthbearer.extensions", detail))
        }
        None => Ok(all),
    }
}

fn unsecured(module: &mut LoginModule, subject: String) -> Result<UnsecuredToken> {
    let lifetime = module.options.remove("unsecuredLoginLifetimeSeconds");
    let seconds = lifetime.map_or(Ok(3600), |text| text.expose().parse::<u32>()).ok().filter(|seconds| *seconds > 0);
    let seconds = seconds
        .ok_or_else(|| Error::invalid(JAAS, "unsecuredLoginLifetimeSeconds is not a whole number of seconds from 1"))?;
    Ok(UnsecuredToken { subject, lifetime: Duration::from_secs(seconds.into()) })
}

/// Amazon's module reads keys from the environment, unless another place is named, which is refused rather than ignored.
fn msk(jaas: Option<LoginModule>) -> Result<AwsMskIam> {
    let options = jaas.map(|module| module.options).unwrap_or_default();
    match options.keys().find(|option| *option != "awsDebugCreds") {
        Some(option) => {
            let detail = format!(
                "the option {option} is not supported: give the key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            );
            Err(Error::invalid(JAAS, detail))
        }
        None => Ok(AwsMskIam { region: None, credentials: AwsCredentials::Environment }),
    }
}
