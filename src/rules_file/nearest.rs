//! What somebody who wrote something else may have meant.

/// The candidate that differs from `text` by one or two letters.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let (near, distance) = candidates
        .map(|candidate| (candidate, distance(text, candidate)))
        .min_by_key(|(_, distance)| *distance)?;
    (distance <= 2 && distance < near.len()).then_some(near)
}

/// How many letters must be put in, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (place, to) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(from != *to);
            diagonal = *place;
            left = cost.min(left + 1).min(diagonal + 1);
            *place = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
