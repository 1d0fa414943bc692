//! The nearest known name to one that is not known, for "perhaps you meant".

/// Names must be this near to be told, so that the answer gives no list of names away.
pub(super) const NAMES: f64 = 0.75;
/// Parameter lists may be further away.
pub(super) const PARAMETERS: f64 = 0.33;

/// The candidate with the least distance, if it is near enough.
pub(super) fn nearest<'a>(
    wanted: &str,
    candidates: impl Iterator<Item = &'a str>,
    least: f64,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (similarity(wanted, candidate), candidate))
        .filter(|(score, _)| *score >= least)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)))
        .map(|(_, candidate)| candidate)
}

/// 1 for equal texts and 0 for those that share nothing: one minus the edit distance over the
/// length of the longer one.
fn similarity(a: &str, b: &str) -> f64 {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 1.0;
    }
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    1.0 - count(distance(&a, &b)) / count(longer)
}

/// Levenshtein's edit distance, one row of the table at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (y, above) in b.iter().zip(row.windows(2)) {
            let [diagonal, up] = above else { continue };
            left = (diagonal + usize::from(x != y)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        for (wanted, known, least, expected) in [
            ("thing", &["things", "drops"][..], NAMES, Some("things")),
            ("nope", &["things", "drops"], NAMES, None),
            ("(a)", &["(a, b)"], PARAMETERS, Some("(a, b)")),
            ("", &["x"], NAMES, None),
        ] {
            assert_eq!(nearest(wanted, known.iter().copied(), least), expected, "{wanted}");
        }
        assert_eq!(distance(&['k', 'i', 't'], &['s', 'i', 't', 's']), 2);
    }
}
