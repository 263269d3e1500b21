//! A record as text: kcat's format tokens, or one JSON object a line.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Failure;
use crate::record::{Header, Record};
use crate::types::TopicPartition;

/// How records are printed.
pub(super) enum Format {
    Json,
    Tokens(Vec<Token>),
}

pub(super) enum Token {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

impl Format {
    /// Reads kcat's format string; fails on a token it does not know.
    pub(super) fn parse(format: &str) -> Result<Format, Failure> {
        let mut tokens = Vec::new();
        let mut text = Vec::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            match (c, if matches!(c, '%' | '\\') { rest.next() } else { None }) {
                ('%', Some('%')) => text.push(b'%'),
                ('%', Some(letter)) => {
                    let token = token(letter).ok_or_else(|| Failure::Usage(format!("-f: no token %{letter}")))?;
                    tokens.push(Token::Text(std::mem::take(&mut text)));
                    tokens.push(token);
                }
                ('\\', Some('n')) => text.push(b'\n'),
                ('\\', Some('t')) => text.push(b'\t'),
                ('\\', Some('0')) => text.push(0),
                ('\\', Some('\\')) => text.push(b'\\'),
                ('\\' | '%', _) => {
                    return Err(Failure::Usage("-f: ends in the middle of a token, or has an unknown escape".into()));
                }
                (plain, _) => text.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        tokens.push(Token::Text(text));
        Ok(Format::Tokens(tokens))
    }

    pub(super) fn write(&self, out: &mut impl Write, tp: &TopicPartition, record: &Record<'_>) -> io::Result<()> {
        match self {
            Format::Json => writeln!(out, "{}", as_json(tp, record)),
            Format::Tokens(tokens) => tokens.iter().try_for_each(|token| write_token(out, token, tp, record)),
        }
    }
}

fn token(letter: char) -> Option<Token> {
    Some(match letter {
        't' => Token::Topic,
        'p' => Token::Partition,
        'o' => Token::Offset,
        'T' => Token::Timestamp,
        'k' => Token::Key,
        'K' => Token::KeyLength,
        's' => Token::Value,
        'S' => Token::ValueLength,
        'h' => Token::Headers,
        _ => return None,
    })
}

fn write_token(out: &mut impl Write, token: &Token, tp: &TopicPartition, record: &Record<'_>) -> io::Result<()> {
    // kcat prints -1 as the length of null.
    let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |b| i64::try_from(b.len()).unwrap_or(i64::MAX));
    match token {
        Token::Text(text) => out.write_all(text),
        Token::Topic => write!(out, "{}", tp.topic),
        Token::Partition => write!(out, "{}", tp.partition),
        Token::Offset => write!(out, "{}", record.offset),
        Token::Timestamp => write!(out, "{}", record.timestamp_ms),
        Token::Key => out.write_all(record.key.unwrap_or_default()),
        Token::KeyLength => write!(out, "{}", length(record.key)),
        Token::Value => out.write_all(record.value.unwrap_or_default()),
        Token::ValueLength => write!(out, "{}", length(record.value)),
        Token::Headers => write_headers(out, record),
    }
}

fn write_headers(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    for (i, Header { key, value }) in record.headers.into_iter().enumerate() {
        out.write_all(if i == 0 { b"" } else { b"," })?;
        out.write_all(key)?;
        out.write_all(b"=")?;
        out.write_all(value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// Text as a string; bytes that are not UTF-8 as `{"base64": "..."}`; null as null.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|b| (std::str::from_utf8(b), b)) {
        None => Value::Null,
        Some((Ok(text), _)) => json!(text),
        Some((Err(_), raw)) => json!({ "base64": STANDARD.encode(raw) }),
    }
}

fn as_json(tp: &TopicPartition, record: &Record<'_>) -> Value {
    let headers: Vec<Value> = record.headers.into_iter().map(|h| json!([bytes(Some(h.key)), bytes(h.value)])).collect();
    json!({
        "topic": &*tp.topic,
        "partition": tp.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "timestamp_type": record.timestamp_type.to_string(),
        "key": bytes(record.key),
        "value": bytes(record.value),
        "headers": headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Headers, TimestampType};

    fn record<'a>(value: &'a [u8]) -> Record<'a> {
        // header "h" = null, then "h" = "1"
        let headers = Headers::new(2, &[2, b'h', 1, 2, b'h', 2, b'1']);
        let timestamp_type = TimestampType::CreateTime;
        Record { offset: 7, timestamp_ms: 99, timestamp_type, key: None, value: Some(value), headers }
    }

    fn print(format: &Format, value: &[u8]) -> String {
        let mut out = Vec::new();
        format.write(&mut out, &TopicPartition::new("t", 3), &record(value)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tokens_print_as_in_kcat() {
        let format = Format::parse("%t/%p@%o %T [%k:%K] %s:%S %h 100%%\\n").ok().unwrap();
        assert_eq!(print(&format, b"v"), "t/3@7 99 [:-1] v:1 h=NULL,h=1 100%\n");
        assert!(Format::parse("%x").is_err() && Format::parse("%").is_err());
    }

    #[test]
    fn json_keeps_nulls_header_order_and_marks_bytes_that_are_not_text() {
        let line: Value = serde_json::from_str(&print(&Format::Json, b"\xff\x00")).unwrap();
        assert_eq!(line["value"], json!({ "base64": "/wA=" }));
        assert_eq!(line["key"], Value::Null);
        assert_eq!(line["headers"], json!([["h", null], ["h", "1"]]));
        assert_eq!(line["timestamp_type"], "CreateTime");
    }
}
