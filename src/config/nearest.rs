//! The name a person may have meant: the fewest edits away.

use super::table::properties;

/// Names are compared up to here; none of ours is as long.
const LONGEST: usize = 100;

/// The property, by any of its names, that takes the fewest edits to reach from `name`.
pub(super) fn property(name: &str) -> &'static str {
    closest(name).1
}

/// As [`property`], if it is at most this many edits away.
pub(super) fn within(name: &str, most: usize) -> Option<&'static str> {
    let (distance, known) = closest(name);
    (distance <= most).then_some(known)
}

fn closest(name: &str) -> (usize, &'static str) {
    let name: String = name.chars().take(LONGEST).collect();
    let names = properties().flat_map(|p| std::iter::once(&p.name).chain(p.aliases));
    let distances = names.map(|known| (edits(&name, known), *known));
    distances.min_by_key(|(distance, _)| *distance).unwrap_or((usize::MAX, ""))
}

/// Levenshtein distance, one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
