//! Small words of the command line: offsets, durations, pairs, as kcat's users write them.

use std::time::Duration;

use super::args::Property;
use crate::connector::kafka::Guarantee;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    Beginning,
    End,
    At(i64),
    BeforeEnd(i64),
    Timestamp(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartSpec {
    Group,
    Earliest,
    Latest,
    Timestamp(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSpec {
    Latest,
    Timestamp(i64),
    Never,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("takes KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn property(text: &str) -> Result<Property, String> {
    pair(text).map(|(name, value)| Property { name, value })
}

pub(super) fn topic_spec(text: &str) -> Result<(String, i32), String> {
    let Some((name, count)) = text.rsplit_once(':') else { return Ok((text.to_owned(), 1)) };
    match count.parse() {
        Ok(count) if count > 0 => Ok((name.to_owned(), count)),
        _ => Err("takes NAME or NAME:PARTITIONS".into()),
    }
}

fn timestamp(text: &str) -> Option<i64> {
    text.strip_prefix('@')?.parse().ok().filter(|ms| *ms >= 0)
}

pub(super) fn offset_spec(text: &str) -> Result<OffsetSpec, String> {
    match (text, text.parse::<i64>(), timestamp(text)) {
        ("beginning", ..) => Ok(OffsetSpec::Beginning),
        ("end", ..) => Ok(OffsetSpec::End),
        (_, Ok(n), _) if n >= 0 => Ok(OffsetSpec::At(n)),
        (_, Ok(n), _) => Ok(OffsetSpec::BeforeEnd(n.saturating_neg())),
        (_, _, Some(ms)) => Ok(OffsetSpec::Timestamp(ms)),
        _ => Err("takes beginning, end, N, -N or @MILLISECONDS".into()),
    }
}

pub(super) fn start_spec(text: &str) -> Result<StartSpec, String> {
    match (text, timestamp(text)) {
        ("group", _) => Ok(StartSpec::Group),
        ("earliest", _) => Ok(StartSpec::Earliest),
        ("latest", _) => Ok(StartSpec::Latest),
        (_, Some(ms)) => Ok(StartSpec::Timestamp(ms)),
        _ => Err("takes group, earliest, latest or @MILLISECONDS".into()),
    }
}

pub(super) fn stop_spec(text: &str) -> Result<StopSpec, String> {
    match (text, timestamp(text)) {
        ("latest", _) => Ok(StopSpec::Latest),
        ("never", _) => Ok(StopSpec::Never),
        (_, Some(ms)) => Ok(StopSpec::Timestamp(ms)),
        _ => Err("takes latest, @MILLISECONDS or never".into()),
    }
}

pub(super) fn guarantee(text: &str) -> Result<Guarantee, String> {
    match text {
        "none" => Ok(Guarantee::None),
        "at-least-once" => Ok(Guarantee::AtLeastOnce),
        "exactly-once" => Ok(Guarantee::ExactlyOnce),
        _ => Err("takes none, at-least-once or exactly-once".into()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("takes a number with ms, s, m or h, as 500ms".into()),
    };
    let ms = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)).filter(|ms| *ms > 0);
    ms.map(Duration::from_millis).ok_or_else(|| "takes a number with ms, s, m or h, as 500ms".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_durations_read_as_kcat_users_write_them() {
        assert_eq!(offset_spec("-5"), Ok(OffsetSpec::BeforeEnd(5)));
        assert_eq!(offset_spec("@1700000000000"), Ok(OffsetSpec::Timestamp(1_700_000_000_000)));
        assert!(offset_spec("@-1").is_err() && offset_spec("middle").is_err());
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("0s").is_err() && duration("5").is_err() && duration("ms").is_err());
        assert_eq!(topic_spec("in:12"), Ok(("in".into(), 12)));
        assert!(topic_spec("in:0").is_err());
    }
}
