//! The judge: the history against the logs. Each finding begins with the invariant it breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::{Outcome, Sent};
use super::transactions::End;
use super::truth::{Entry, Fate, PartitionLog};

/// Where a value lies.
type Places<'a> = BTreeMap<&'a [u8], Vec<(i32, &'a Entry)>>;

fn places(logs: &[PartitionLog]) -> Places<'_> {
    let mut places = Places::new();
    for (partition, log) in (0..).zip(logs) {
        for entry in &log.entries {
            places.entry(&entry.value).or_default().push((partition, entry));
        }
    }
    places
}

/// P1 to P6 of RELIABILITY: what was promised to those who sent `history`, against `logs`. `patience` bounds P6.
pub(super) fn sends(history: &[Sent], logs: &[PartitionLog], patience: Duration) -> Vec<String> {
    let places = places(logs);
    let mut findings = Vec::new();
    for sent in history {
        let found = places.get(sent.value.as_slice()).map_or(&[][..], Vec::as_slice);
        let wrong =
            [acked(sent, found), absent(sent, found), once(found), placed(sent, found), resolved(sent, patience)];
        findings.extend(wrong.into_iter().flatten().map(|wrong| format!("{wrong}: {}", show(sent))));
    }
    findings.extend(strangers(history, &places));
    findings.extend(order(history, &places));
    findings
}

fn show(sent: &Sent) -> String {
    let value = String::from_utf8_lossy(sent.value.get(..sent.value.len().min(24)).unwrap_or_default()).into_owned();
    format!("{value} of producer {} to {:?}, {:?} after {:?}", sent.producer, sent.partition, sent.outcome, sent.took)
}

fn acked(sent: &Sent, found: &[(i32, &Entry)]) -> Option<String> {
    let Outcome::Acked { partition, offset } = sent.outcome else { return None };
    let Some((_, entry)) = found.iter().find(|(p, entry)| (*p, entry.offset) == (partition, offset)) else {
        return Some(format!(
            "P1: acknowledged at {partition}@{offset} and not there, but at {:?}",
            whereabouts(found)
        ));
    };
    let is_same = entry.key == sent.key && entry.timestamp_ms == sent.timestamp_ms;
    (!is_same).then(|| format!("P1: another key or timestamp at {partition}@{offset}"))
}

fn absent(sent: &Sent, found: &[(i32, &Entry)]) -> Option<String> {
    let is_wrong = sent.outcome == Outcome::Failed && !found.is_empty();
    is_wrong.then(|| format!("P2: reported as not written and there at {:?}", whereabouts(found)))
}

fn once(found: &[(i32, &Entry)]) -> Option<String> {
    (found.len() > 1).then(|| format!("P3: written {} times, at {:?}", found.len(), whereabouts(found)))
}

fn placed(sent: &Sent, found: &[(i32, &Entry)]) -> Option<String> {
    let asked = sent.partition?;
    found.iter().any(|(p, _)| *p != asked).then(|| format!("P5: in another partition: {:?}", whereabouts(found)))
}

fn resolved(sent: &Sent, patience: Duration) -> Option<String> {
    if sent.outcome == Outcome::Pending {
        return Some("P6: never resolved".into());
    }
    sent.took.filter(|took| *took > patience).map(|took| format!("P6: resolved after {took:?}, allowed {patience:?}"))
}

fn whereabouts(found: &[(i32, &Entry)]) -> Vec<(i32, i64)> {
    found.iter().map(|(partition, entry)| (*partition, entry.offset)).collect()
}

/// P5: bytes in a log that nobody sent.
fn strangers(history: &[Sent], places: &Places<'_>) -> Vec<String> {
    let sent: std::collections::BTreeSet<&[u8]> = history.iter().map(|sent| sent.value.as_slice()).collect();
    let unknown = places.iter().filter(|(value, _)| !sent.contains(*value));
    unknown.map(|(_, found)| format!("P5: a value nobody sent, at {:?}", whereabouts(found))).collect()
}

/// P4: in each partition, a producer's records lie in the order of its calls.
fn order(history: &[Sent], places: &Places<'_>) -> Vec<String> {
    let mut last: BTreeMap<(usize, i32), (i64, &Sent)> = BTreeMap::new();
    let mut findings = Vec::new();
    for sent in history {
        for (partition, entry) in places.get(sent.value.as_slice()).into_iter().flatten() {
            let before = last.insert((sent.producer, *partition), (entry.offset, sent));
            if let Some((offset, earlier)) = before.filter(|(offset, _)| *offset >= entry.offset) {
                let (first, second) = (show(earlier), show(sent));
                findings.push(format!("P4: {first} lies at {partition}@{offset}, behind {second} at {}", entry.offset));
            }
        }
    }
    findings
}

/// T1: a transaction that was committed is there whole, one that was not is not there at all; none is left open.
pub(super) fn transactions(history: &[Sent], ends: &[(usize, End)], logs: &[PartitionLog]) -> Vec<String> {
    let places = places(logs);
    let ends: BTreeMap<usize, End> = ends.iter().copied().collect();
    let mut findings = Vec::new();
    let mut seen: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    for sent in history {
        let Some(number) = sent.transaction else { continue };
        let found = places.get(sent.value.as_slice()).map_or(&[][..], Vec::as_slice);
        if found.iter().any(|(_, entry)| entry.fate == Fate::Open) {
            findings.push(format!("T4: transaction {number} is open after its timeout: {}", show(sent)));
        }
        let is_visible = found.iter().any(|(_, entry)| entry.fate == Fate::Committed);
        let (visible, all) = seen.entry(number).or_default();
        *visible += u32::from(is_visible);
        // A record that was refused is in no transaction.
        *all += u32::from(is_visible || sent.outcome != Outcome::Failed);
    }
    for (number, (visible, all)) in seen {
        let is_right = match ends.get(&number) {
            Some(End::Committed) => visible == all,
            Some(End::Aborted) => visible == 0,
            Some(End::Unknown) | None => visible == 0 || visible == all,
        };
        if !is_right {
            let end = ends.get(&number);
            findings.push(format!("T1: transaction {number} was told {end:?}: {visible} of {all} records are visible"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn sent(value: &str, outcome: Outcome) -> Sent {
        Sent {
            producer: 0,
            partition: Some(0),
            value: value.into(),
            key: None,
            timestamp_ms: 7,
            transaction: Some(1),
            sent_at: Instant::now(),
            took: Some(Duration::ZERO),
            outcome,
        }
    }

    fn log(values: &[&str]) -> PartitionLog {
        let entry = |(offset, value): (i64, &&str)| Entry {
            offset,
            value: value.as_bytes().to_vec(),
            key: None,
            timestamp_ms: 7,
            producer_id: 1,
            fate: Fate::Committed,
        };
        PartitionLog { entries: (0..).zip(values).map(entry).collect() }
    }

    /// The invariants that are found broken, by number.
    fn broken(history: &[Sent], logs: &[PartitionLog]) -> Vec<String> {
        let found = sends(history, logs, Duration::from_secs(1));
        found.iter().map(|finding| finding.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    const AT_0: Outcome = Outcome::Acked { partition: 0, offset: 0 };

    #[test]
    fn a_right_history_is_right() {
        let history = [sent("a", AT_0), sent("b", Outcome::Unknown), sent("c", Outcome::Failed)];
        assert!(broken(&history, &[log(&["a", "b"])]).is_empty());
        assert!(broken(&history, &[log(&["a"])]).is_empty());
    }

    #[test]
    fn each_planted_violation_is_found_by_its_number() {
        let acked = [sent("a", AT_0)];
        assert_eq!(broken(&acked, &[log(&[])]), ["P1"]);
        assert_eq!(broken(&acked, &[log(&["a", "a"])]), ["P3"]);
        assert_eq!(broken(&acked, &[log(&["a", "x"])]), ["P5"]);
        assert_eq!(broken(&[sent("a", Outcome::Unknown)], &[log(&[]), log(&["a"])]), ["P5"]);
        assert_eq!(broken(&[sent("a", Outcome::Failed)], &[log(&["a"])]), ["P2"]);
        assert_eq!(broken(&[sent("a", Outcome::Pending)], &[log(&["a"])]), ["P6"]);
        let swapped = [sent("a", Outcome::Unknown), sent("b", Outcome::Unknown)];
        assert_eq!(broken(&swapped, &[log(&["b", "a"])]), ["P4"]);
        let late = [Sent { took: Some(Duration::from_secs(2)), ..sent("a", AT_0) }];
        assert_eq!(broken(&late, &[log(&["a"])]), ["P6"]);
    }

    #[test]
    fn a_transaction_in_part_or_against_its_word_is_found() {
        let history = [sent("a", Outcome::Unknown), sent("b", Outcome::Unknown)];
        let judge = |end, values: &[&str]| transactions(&history, &[(1, end)], &[log(values)]).len();
        assert_eq!(judge(End::Committed, &["a", "b"]) + judge(End::Unknown, &[]) + judge(End::Aborted, &[]), 0);
        assert_eq!(judge(End::Committed, &["a"]), 1);
        assert_eq!(judge(End::Unknown, &["b"]), 1);
        assert_eq!(judge(End::Aborted, &["a", "b"]), 1);
    }
}
