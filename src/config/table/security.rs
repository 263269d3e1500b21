//! Rows of TLS and SASL: texts that are assembled together, since none means anything alone.

use crate::config::property::{Kind, Property, Role, Takes};

const fn row(name: &'static str, takes: Takes, default: &'static str, doc: &'static str) -> Property {
    Property::new(Role::Client, name, Kind::Raw(takes), default, doc)
}

const STORE_TYPES: Takes = Takes::OneOf(&["PEM", "JKS", "PKCS12"]);

pub(super) static ROWS: &[Property] = &[
    row(
        "security.protocol",
        Takes::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        "PLAINTEXT",
        "Which of TLS and SASL are spoken; Kafka's default is neither, and nothing ever falls back to less.",
    ),
    row(
        "sasl.mechanism",
        Takes::OneOf(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM", "GSSAPI"]),
        "",
        "How the client proves who it is; none by default, since Kafka's GSSAPI (Kerberos) is refused here.",
    )
    .also(&["sasl.mechanisms"]),
    row(
        "sasl.jaas.config",
        Takes::Secret,
        "",
        "Kafka's login module with its options, for PLAIN, SCRAM and OAUTHBEARER; no class is loaded.",
    ),
    row("sasl.username", Takes::Text, "", "Who, for PLAIN and SCRAM, instead of a JAAS line; librdkafka's name."),
    row("sasl.password", Takes::Secret, "", "What proves it, for PLAIN and SCRAM; librdkafka's name."),
    row(
        "sasl.oauthbearer.token.endpoint.url",
        Takes::Text,
        "",
        "Where tokens come from, https only, because the client's secret is sent there.",
    ),
    row(
        "sasl.oauthbearer.client.credentials.client.id",
        Takes::Text,
        "",
        "Who asks for tokens; clientId of a JAAS line says the same.",
    )
    .also(&["sasl.oauthbearer.client.id"]),
    row(
        "sasl.oauthbearer.client.credentials.client.secret",
        Takes::Secret,
        "",
        "What proves it; clientSecret of a JAAS line says the same.",
    )
    .also(&["sasl.oauthbearer.client.secret"]),
    row("sasl.oauthbearer.scope", Takes::Text, "", "What tokens are for; left out of the request if not set."),
    row(
        "sasl.oauthbearer.extensions",
        Takes::Text,
        "",
        "Names and values sent beside the token: name=value, separated by commas; librdkafka's name.",
    ),
    row(
        "https.ca.location",
        Takes::Text,
        "",
        "A PEM file of the certificates to trust for the token endpoint, and no others; librdkafka's name.",
    ),
    row("https.ca.pem", Takes::Secret, "", "The same as text in PEM; librdkafka's name."),
    row(
        "ssl.truststore.location",
        Takes::Text,
        "",
        "A PEM file of the certificates to trust, and no others; the operating system's if not set.",
    )
    .also(&["ssl.ca.location"]),
    row("ssl.truststore.certificates", Takes::Secret, "", "The same as text in PEM.").also(&["ssl.ca.pem"]),
    row("ssl.truststore.type", STORE_TYPES, "", "PEM; JKS and PKCS12 are refused with the command that converts them."),
    row("ssl.truststore.password", Takes::Secret, "", "Refused: it is for JKS and PKCS12, PEM has none."),
    row("ssl.keystore.location", Takes::Text, "", "A PEM file of the client's key and certificate chain."),
    row("ssl.keystore.certificate.chain", Takes::Secret, "", "The client's certificate chain as text in PEM.")
        .also(&["ssl.certificate.pem"]),
    row("ssl.keystore.key", Takes::Secret, "", "The client's key as text in PEM.").also(&["ssl.key.pem"]),
    row(
        "ssl.certificate.location",
        Takes::Text,
        "",
        "A PEM file of the client's certificate chain; librdkafka's name.",
    ),
    row("ssl.key.location", Takes::Text, "", "A PEM file of the client's key; librdkafka's name."),
    row("ssl.key.password", Takes::Secret, "", "What the client's key is encrypted with."),
    row("ssl.keystore.type", STORE_TYPES, "", "PEM; JKS and PKCS12 are refused with the command that converts them."),
    row(
        "ssl.keystore.password",
        Takes::Secret,
        "",
        "Refused: it is for JKS and PKCS12, a PEM key has ssl.key.password.",
    ),
    row(
        "ssl.endpoint.identification.algorithm",
        Takes::OneOf(&["https", "none", ""]),
        "https",
        "Whether a broker's certificate must be for its host; empty or none switches it off, with a warning.",
    ),
    row(
        "ssl.enabled.protocols",
        Takes::Text,
        "TLSv1.2,TLSv1.3",
        "Versions of TLS that are spoken; older ones are broken.",
    ),
    row(
        "ssl.protocol",
        Takes::OneOf(&["TLS", "TLSv1.2", "TLSv1.3"]),
        "TLSv1.3",
        "The newest version of TLS that is spoken, as Java's setting caps it.",
    ),
    row(
        "enable.ssl.certificate.verification",
        Takes::Flag,
        "true",
        "Certificates are always verified: false is refused; librdkafka's name.",
    ),
];
