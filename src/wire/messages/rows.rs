//! One row per field: from it follow a struct's default, its bytes in every version, their number, and the way back.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::protocol::buf::ByteBuf;
use std::collections::BTreeMap;

use super::values::{At, Count, Sink, Value, put_uvarint, take_uvarint};

/// Where a field stands, as Kafka's definitions say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    from: i16,
    to: i16,
    nullable_from: i16,
    ignorable: bool,
    tag: Option<u32>,
}

/// A field of every version from `version` on.
pub(super) const fn since(version: i16) -> Row {
    Row { from: version, to: i16::MAX, nullable_from: i16::MAX, ignorable: false, tag: None }
}

impl Row {
    /// The last version that has it.
    pub(super) const fn until(self, version: i16) -> Self {
        Self { to: version, ..self }
    }

    /// May be null from `version` on.
    pub(super) const fn nullable(self, version: i16) -> Self {
        Self { nullable_from: version, ..self }
    }

    /// Left out without complaint where a version lacks it; any other field that is set then fails to encode.
    pub(super) const fn ignorable(self) -> Self {
        Self { ignorable: true, ..self }
    }

    /// Travels in the tagged section, and only if it is not at its default. Rows stand in the order of their tags.
    pub(super) const fn tagged(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    fn holds(&self, at: At) -> bool {
        (self.from..=self.to).contains(&at.version)
    }

    fn at(&self, at: At) -> At {
        At { nullable: at.version >= self.nullable_from, ..at }
    }

    /// Writes the field if it stands here, in its place among the others.
    pub(super) fn put<T: Value + PartialEq>(
        &self,
        (name, value, default): (&'static str, &T, &T),
        out: &mut impl Sink,
        at: At,
    ) -> Result<()> {
        if !self.holds(at) {
            ensure!(self.ignorable || value == default, "{name} is set, which version {} lacks", at.version);
            return Ok(());
        }
        match self.tag {
            Some(_) => Ok(()),
            None => value.put(out, self.at(at)).context(name),
        }
    }

    /// Reads the field if it stands here.
    pub(super) fn take<T: Value>(
        &self,
        name: &'static str,
        field: &mut T,
        from: &mut impl ByteBuf,
        at: At,
    ) -> Result<()> {
        if self.holds(at) && self.tag.is_none() {
            *field = T::take(from, self.at(at)).context(name)?;
        }
        Ok(())
    }

    /// Whether the tagged section must hold this field.
    pub(super) fn is_due<T: PartialEq>(&self, value: &T, default: &T, at: At) -> bool {
        self.tag.is_some() && self.holds(at) && value != default
    }

    pub(super) fn put_tagged<T: Value>(
        &self,
        name: &'static str,
        value: &T,
        out: &mut impl Sink,
        at: At,
    ) -> Result<()> {
        let Some(tag) = self.tag else { return Ok(()) };
        let mut size = Count::default();
        value.put(&mut size, self.at(at)).context(name)?;
        put_uvarint(out, tag);
        put_uvarint(out, u32::try_from(size.0)?);
        value.put(out, self.at(at)).context(name)
    }

    pub(super) fn is_tag(&self, tag: u32, at: At) -> bool {
        self.tag == Some(tag) && self.holds(at)
    }

    /// Reads the field from the bytes of its tag, all of them.
    pub(super) fn take_tagged<T: Value>(
        &self,
        name: &'static str,
        field: &mut T,
        mut from: Bytes,
        at: At,
    ) -> Result<()> {
        *field = T::take(&mut from, self.at(at)).context(name)?;
        ensure!(from.is_empty(), "{name}: {} bytes of its tag left over", from.len());
        Ok(())
    }
}

/// Tags nobody knows, kept as they came.
pub(super) type UnknownTags = BTreeMap<i32, Bytes>;

/// The tagged section's count, which `known` fields and then the unknown ones follow.
pub(super) fn put_tag_count(out: &mut impl Sink, known: usize, unknown: &UnknownTags) -> Result<()> {
    put_uvarint(out, u32::try_from(known.saturating_add(unknown.len()))?);
    Ok(())
}

pub(super) fn put_unknown_tags(out: &mut impl Sink, unknown: &UnknownTags) -> Result<()> {
    for (tag, bytes) in unknown {
        put_uvarint(out, u32::try_from(*tag).context("a negative tag")?);
        put_uvarint(out, u32::try_from(bytes.len())?);
        out.slice(bytes);
    }
    Ok(())
}

/// The next tagged field: its number and its bytes.
pub(super) fn take_tag(from: &mut impl ByteBuf) -> Result<(u32, Bytes)> {
    let tag = take_uvarint(from)?;
    let size = take_uvarint(from)? as usize;
    Ok((tag, from.try_get_bytes(size)?))
}

pub(super) fn keep_unknown_tag(unknown: &mut UnknownTags, tag: u32, bytes: Bytes) -> Result<()> {
    let Ok(tag) = i32::try_from(tag) else { bail!("tag {tag}") };
    unknown.insert(tag, bytes);
    Ok(())
}

/// Structs of rows: `field / builder: type [where it stands] = default;`. Without a default it is that of the type.
macro_rules! structs {
    ($($(#[$about:meta])* $name:ident {
        $($(#[$says:meta])* $field:ident / $with:ident: $of:ty [$row:expr] $(= $default:expr)?;)*
    })*) => {$(
        $(#[$about])*
        #[non_exhaustive]
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name {
            $($(#[$says])* pub $field: $of,)*
            /// Tagged fields nobody knows, as they came.
            pub unknown_tagged_fields: std::collections::BTreeMap<i32, bytes::Bytes>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::wire::messages::rows::or_default!($($default)?),)* unknown_tagged_fields: Default::default() }
            }
        }

        #[allow(clippy::wrong_self_convention)]
        impl $name {
            $(
                #[doc = concat!("With `", stringify!($field), "` set.")]
                pub fn $with(mut self, $field: $of) -> Self {
                    self.$field = $field;
                    self
                }
            )*

            /// With one more tagged field that nobody knows.
            pub fn with_unknown_tagged_field(mut self, tag: i32, bytes: bytes::Bytes) -> Self {
                self.unknown_tagged_fields.insert(tag, bytes);
                self
            }
        }

        impl $crate::wire::messages::values::Value for $name {
            #[allow(unused_variables)]
            fn put(&self, out: &mut impl $crate::wire::messages::values::Sink, at: $crate::wire::messages::values::At) -> anyhow::Result<()> {
                #[allow(unused_imports)]
                use $crate::wire::messages::rows::*;
                let default = Self::default();
                $($row.put((stringify!($field), &self.$field, &default.$field), out, at)?;)*
                if !at.flexible {
                    return Ok(());
                }
                let known = [$($row.is_due(&self.$field, &default.$field, at)),*];
                let known = known.into_iter().filter(|due| *due).count();
                put_tag_count(out, known, &self.unknown_tagged_fields)?;
                $(if $row.is_due(&self.$field, &default.$field, at) {
                    $row.put_tagged(stringify!($field), &self.$field, out, at)?;
                })*
                put_unknown_tags(out, &self.unknown_tagged_fields)
            }

            fn take(from: &mut impl kafka_protocol::protocol::buf::ByteBuf, at: $crate::wire::messages::values::At) -> anyhow::Result<Self> {
                #[allow(unused_imports)]
                use $crate::wire::messages::rows::*;
                let mut message = Self::default();
                $($row.take(stringify!($field), &mut message.$field, from, at)?;)*
                if !at.flexible {
                    return Ok(message);
                }
                for _ in 0..$crate::wire::messages::values::take_uvarint(from)? {
                    let (tag, bytes) = take_tag(from)?;
                    $(if $row.is_tag(tag, at) {
                        $row.take_tagged(stringify!($field), &mut message.$field, bytes, at)?;
                        continue;
                    })*
                    keep_unknown_tag(&mut message.unknown_tagged_fields, tag, bytes)?;
                }
                Ok(message)
            }
        }

        impl $crate::wire::messages::values::Nullable for $name {
            fn put_null(out: &mut impl $crate::wire::messages::values::Sink, _: $crate::wire::messages::values::At) {
                out.slice(&[0xff]);
            }

            fn take_or_null(from: &mut impl kafka_protocol::protocol::buf::ByteBuf, at: $crate::wire::messages::values::At) -> anyhow::Result<Option<Self>> {
                use $crate::wire::messages::values::Value;
                if !at.nullable {
                    return Self::take(from, at).map(Some);
                }
                match i8::take(from, at)? {
                    -1 => Ok(None),
                    1 => Self::take(from, at).map(Some),
                    mark => anyhow::bail!("nullable struct marked {mark}"),
                }
            }

            fn put_present(&self, out: &mut impl $crate::wire::messages::values::Sink, at: $crate::wire::messages::values::At) -> anyhow::Result<()> {
                use $crate::wire::messages::values::Value;
                if at.nullable {
                    out.slice(&[1]);
                }
                self.put(out, at)
            }
        }
    )*

    /// Each struct and its fields, in their order.
    #[cfg(test)]
    pub(super) const ROWS: &[(&str, &[&str])] = &[$((stringify!($name), &[$(stringify!($field)),*])),*];
    };
}

macro_rules! or_default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// Structs of the generated codec whose layout has not changed since `newest`, the last version it knows.
macro_rules! generated {
    ($newest:literal: $($path:path),* $(,)?) => {$(
        impl $crate::wire::messages::values::Value for $path {
            fn put(&self, out: &mut impl $crate::wire::messages::values::Sink, at: $crate::wire::messages::values::At) -> anyhow::Result<()> {
                out.generated(self, at.version.min($newest))
            }

            fn take(from: &mut impl kafka_protocol::protocol::buf::ByteBuf, at: $crate::wire::messages::values::At) -> anyhow::Result<Self> {
                <Self as kafka_protocol::protocol::Decodable>::decode(from, at.version.min($newest))
            }
        }
    )*};
}

pub(super) use {generated, or_default, structs};
