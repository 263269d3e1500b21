//! Random messages by the schema, as JSON: what a test or a fuzzer begins with.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Map, Value};

use super::super::schema::{Field, Fixed, Kind, Schema, Struct};
use super::default::is_default;

/// A value of the message; the same for the same seed.
pub(super) fn sample(schema: &'static Schema, version: i8, seed: u64) -> Value {
    Sampler { rng: StdRng::seed_from_u64(seed), version }.structure(schema.root())
}

struct Sampler {
    rng: StdRng,
    version: i8,
}

impl Sampler {
    /// Depth is that of the definitions, which do not recurse.
    fn structure(&mut self, of: &'static Struct) -> Value {
        let mut values = Map::new();
        let version = self.version;
        for field in of.fields().iter().filter(|field| field.versions.contains(version)) {
            let is_tagged = field.is_tagged(version);
            if is_tagged && self.rng.random() {
                continue;
            }
            let value = self.field(field);
            // Kafka leaves a tagged field out at its default.
            if !(is_tagged && is_default(field, &value)) {
                values.insert(field.name().into(), value);
            }
        }
        Value::Object(values)
    }

    fn field(&mut self, field: &'static Field) -> Value {
        if field.nullable.contains(self.version) && self.rng.random_bool(0.2) {
            return Value::Null;
        }
        if !field.is_array {
            return self.single(field.kind);
        }
        let count = self.rng.random_range(0..4);
        (0..count).map(|_| self.single(field.kind)).collect()
    }

    fn single(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Fixed(of) => self.fixed(of),
            Kind::String => (0..self.rng.random_range(0..9)).map(|_| self.letter()).collect::<String>().into(),
            Kind::Bytes | Kind::Records => {
                let mut bytes = vec![0; self.rng.random_range(0..40)];
                self.rng.fill_bytes(&mut bytes);
                STANDARD.encode(bytes).into()
            }
            Kind::Struct(index) => self.structure(Struct::at(index)),
        }
    }

    /// Of one to four bytes.
    fn letter(&mut self) -> char {
        ['a', 'Z', '\0', '"', 'é', '字', '🦀'][self.rng.random_range(0..7)]
    }

    fn fixed(&mut self, of: Fixed) -> Value {
        match of {
            Fixed::Bool => self.rng.random::<bool>().into(),
            Fixed::Int8 => self.rng.random::<i8>().into(),
            Fixed::Int16 => self.rng.random::<i16>().into(),
            Fixed::Uint16 => self.rng.random::<u16>().into(),
            Fixed::Int32 => self.rng.random::<i32>().into(),
            Fixed::Uint32 => self.rng.random::<u32>().into(),
            Fixed::Int64 => self.rng.random::<i64>().into(),
            Fixed::Float64 => self.rng.random_range(-1e300..1e300).into(),
            Fixed::Uuid => URL_SAFE_NO_PAD.encode(self.rng.random::<[u8; 16]>()).into(),
        }
    }
}
