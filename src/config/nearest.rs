//! The name a person may have meant: the fewest edits away.

use super::table::properties;

/// The property, by any of its names, that takes the fewest edits to reach from `name`.
pub(super) fn property(name: &str) -> &'static str {
    let names = properties().flat_map(|p| std::iter::once(&p.name).chain(p.aliases));
    names.min_by_key(|known| edits(name, known)).copied().unwrap_or_default()
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
