//! Our own messages as kafka-protocol's traits see them, so that nobody needs to know whose codec a message has.

/// A message body: its versions and the first flexible one.
macro_rules! body {
    ($name:ty, $versions:expr, flexible $flexible:literal, header $classic:literal to $compact:literal) => {
        impl kafka_protocol::protocol::Message for $name {
            const VERSIONS: kafka_protocol::protocol::VersionRange =
                kafka_protocol::protocol::VersionRange { min: *$versions.start(), max: *$versions.end() };
            const DEPRECATED_VERSIONS: Option<kafka_protocol::protocol::VersionRange> = None;
        }

        impl kafka_protocol::protocol::HeaderVersion for $name {
            fn header_version(version: i16) -> i16 {
                if version >= $flexible { $compact } else { $classic }
            }
        }

        impl kafka_protocol::protocol::Encodable for $name {
            fn encode<B: kafka_protocol::protocol::buf::ByteBufMut>(
                &self,
                out: &mut B,
                version: i16,
            ) -> anyhow::Result<()> {
                use $crate::wire::messages::{top, values};
                values::Value::put(self, &mut values::Into(out), top::at::<Self>(version, $flexible)?)
            }

            fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
                use $crate::wire::messages::{top, values};
                let mut size = values::Count::default();
                values::Value::put(self, &mut size, top::at::<Self>(version, $flexible)?)?;
                Ok(size.0)
            }
        }

        impl kafka_protocol::protocol::Decodable for $name {
            fn decode<B: kafka_protocol::protocol::buf::ByteBuf>(from: &mut B, version: i16) -> anyhow::Result<Self> {
                use $crate::wire::messages::{top, values};
                values::Value::take(from, top::at::<Self>(version, $flexible)?)
            }
        }
    };
}

macro_rules! request {
    ($name:ty => $response:ty, key $key:literal, versions $versions:expr, flexible $flexible:literal) => {
        $crate::wire::messages::top::body!($name, $versions, flexible $flexible, header 1 to 2);

        impl kafka_protocol::protocol::Request for $name {
            const KEY: i16 = $key;
            type Response = $response;
        }
    };
}

macro_rules! response {
    ($name:ty, versions $versions:expr, flexible $flexible:literal) => {
        $crate::wire::messages::top::body!($name, $versions, flexible $flexible, header 0 to 1);
    };
}

pub(super) use {body, request, response};

use super::values::At;
use kafka_protocol::protocol::Message;

/// The form of a message's own fields at `version`, if it has that version.
pub(super) fn at<M: Message>(version: i16, flexible: i16) -> anyhow::Result<At> {
    let known = M::VERSIONS;
    anyhow::ensure!((known.min..=known.max).contains(&version), "version {version} is not within {known}");
    Ok(At { version, flexible: version >= flexible, nullable: false })
}
