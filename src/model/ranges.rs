//! A set of whole numbers kept as disjoint ranges, with the text form of Postgres' `int8multirange`.

use std::{collections::BTreeMap, fmt, ops::Range, str::FromStr};

/// A set of numbers; its size in memory grows with its gaps and not with its numbers.
///
/// Ranges are half-open (`start` in, `end` out), never empty, and never touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start to end of every range.
    ranges: BTreeMap<i64, i64>,
    /// How many numbers are in the set.
    len: u64,
}

/// A text that is not an `int8multirange` with finite bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a multirange of whole numbers at {0:?}")]
pub struct ParseRangesError(String);

impl RangeSet {
    /// How many numbers are in the set.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no number in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many disjoint ranges the set consists of.
    #[must_use]
    pub fn count_ranges(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges, in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<i64>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// The number behind the highest one; none for an empty set.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.ranges.last_key_value().map(|(_, end)| *end)
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: i64) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    /// Whether every number of `range` is in the set.
    #[must_use]
    pub fn covers(&self, range: Range<i64>) -> bool {
        range.is_empty()
            || self
                .ranges
                .range(..=range.start)
                .next_back()
                .is_some_and(|(_, end)| range.end <= *end)
    }

    /// Adds every number of `range`.
    pub fn insert(&mut self, range: Range<i64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // Whatever overlaps or touches the new range becomes part of it.
        while let Some((&left, &right)) = self.ranges.range(..=end).next_back() {
            if right < start {
                break;
            }
            start = start.min(left);
            end = end.max(right);
            self.ranges.remove(&left);
            self.len -= width(left, right);
        }
        self.ranges.insert(start, end);
        self.len += width(start, end);
    }

    /// Takes every number of `range` out.
    pub fn remove(&mut self, range: Range<i64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&left, &right)) = self.ranges.range(..range.end).next_back() {
            if right <= range.start {
                break;
            }
            self.ranges.remove(&left);
            self.len -= width(left, right);
            for (start, end) in [(left, range.start.min(right)), (range.end.max(left), right)] {
                if start < end {
                    self.ranges.insert(start, end);
                    self.len += width(start, end);
                }
            }
        }
    }

    /// Takes every number of `other` out.
    pub fn remove_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.remove(range);
        }
    }

    /// The parts of the set that lie in `range`, in ascending order.
    pub fn within(&self, range: Range<i64>) -> impl Iterator<Item = Range<i64>> {
        let before = self.ranges.range(..range.start).next_back();
        let inside = self.ranges.range(range.start..range.end.max(range.start));
        before.into_iter().chain(inside).filter_map(move |(start, end)| {
            let part = (*start).max(range.start)..(*end).min(range.end);
            (!part.is_empty()).then_some(part)
        })
    }
}

/// Numbers from `start` to before `end`; the whole range of `i64` still fits.
pub(crate) const fn width(start: i64, end: i64) -> u64 {
    end.abs_diff(start)
}

impl FromIterator<Range<i64>> for RangeSet {
    fn from_iter<T: IntoIterator<Item = Range<i64>>>(ranges: T) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

/// As Postgres writes it: `{[1,5),[7,9)}`.
impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, range) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}[{},{})", range.start, range.end)?;
        }
        f.write_str("}")
    }
}

/// Reads the form that Postgres writes, which is always `[a,b)` for whole numbers.
impl FromStr for RangeSet {
    type Err = ParseRangesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |at: &str| ParseRangesError(at.chars().take(40).collect());
        let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let mut rest = inner.ok_or_else(|| fail(text))?;
        let mut set = Self::default();
        while !rest.is_empty() {
            let (range, behind) = rest
                .strip_prefix('[')
                .and_then(|body| body.split_once(')'))
                .ok_or_else(|| fail(rest))?;
            let (start, end) = range.split_once(',').ok_or_else(|| fail(range))?;
            let number = |word: &str| word.trim().parse::<i64>().map_err(|_| fail(word));
            set.insert(number(start)?..number(end)?);
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_form() {
        for (text, expected) in [
            ("{}", Some("{}")),
            ("{[1,5),[7,9)}", Some("{[1,5),[7,9)}")),
            (" {[1,5), [5,9)} ", None),
            ("{[1,5),[5,9)}", Some("{[1,9)}")),
            ("{[5,1)}", Some("{}")),
            ("{(1,5]}", None),
            ("{[1,)}", None),
            ("{[1,5)", None),
            ("", None),
            ("{[1,99999999999999999999)}", None),
            ("{é}", None),
        ] {
            let parsed = text.parse::<RangeSet>().ok().map(|set| set.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        /// Any sequence of changes agrees with a set of single numbers.
        #[test]
        fn agrees_with_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0_i64..80, 0_i64..12), 0..60),
            from in 0_i64..80, length in 0_i64..30,
        ) {
            let (mut set, mut model) = (RangeSet::default(), BTreeSet::new());
            for (add, start, length) in steps {
                if add {
                    set.insert(start..start + length);
                    model.extend(start..start + length);
                } else {
                    set.remove(start..start + length);
                    model.retain(|number| !(start..start + length).contains(number));
                }
                prop_assert_eq!(set.iter().flatten().collect::<BTreeSet<_>>(), model.clone());
                prop_assert_eq!(set.len(), model.len() as u64);
                let ends = set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start);
                prop_assert!(ends, "ranges touch: {}", set);
            }
            prop_assert!((0..100).all(|number| set.contains(number) == model.contains(&number)));
            let part: BTreeSet<_> = set.within(from..from + length).flatten().collect();
            let expected: BTreeSet<_> = model.range(from..from + length).copied().collect();
            prop_assert_eq!(part, expected);
            prop_assert_eq!(set.to_string().parse::<RangeSet>(), Ok(set));
        }
    }
}
