//! Which rows are wanted and which were sent: `limit`, `offset`, `Range`, `Content-Range`.

use super::error::ApiError;

/// A part of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub offset: u64,
    /// None for all.
    pub limit: Option<u64>,
}

impl Range {
    /// From the parameters `limit` and `offset`; what is not a number is passed over, as there.
    pub(super) fn from_parameters(
        limit: Option<&str>,
        offset: Option<&str>,
    ) -> Result<Self, ApiError> {
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<i64>().ok());
        let limit = match number(limit) {
            Some(limit) if limit < 0 => {
                return Err(out_of_range("Limit should be greater than or equal to zero."));
            }
            limit => limit.and_then(|limit| u64::try_from(limit).ok()),
        };
        let offset = number(offset).and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0);
        Ok(Self { offset, limit })
    }

    /// From a `Range` header such as `0-9` or `10-`; anything else is passed over, as there.
    pub(super) fn from_header(value: &str) -> Result<Self, ApiError> {
        let Some((first, last)) = value.trim().split_once('-') else { return Ok(Self::default()) };
        let Ok(offset) = first.parse::<u64>() else { return Ok(Self::default()) };
        if last.is_empty() {
            return Ok(Self { offset, limit: None });
        }
        let Ok(last) = last.parse::<u64>() else { return Ok(Self::default()) };
        match last.checked_sub(offset) {
            Some(more) => Ok(Self { offset, limit: Some(more.saturating_add(1)) }),
            None => Err(out_of_range(
                "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
            )),
        }
    }

    /// The rows that are in both.
    pub(super) fn intersect(self, other: Self) -> Self {
        let end = |range: Self| range.limit.map(|limit| range.offset.saturating_add(limit));
        let offset = self.offset.max(other.offset);
        let end = match (end(self), end(other)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { offset, limit: end.map(|end| end.saturating_sub(offset)) }
    }

    /// At most this many rows.
    pub(super) fn capped(self, max_rows: Option<u64>) -> Self {
        let limit = match (self.limit, max_rows) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { limit, ..self }
    }

    /// The end of a statement.
    pub(super) fn sql(self) -> String {
        let mut sql = String::new();
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" limit {limit}"));
        }
        if self.offset > 0 {
            sql.push_str(&format!(" offset {}", self.offset));
        }
        sql
    }
}

fn out_of_range(details: &str) -> ApiError {
    ApiError::new(416, "PGRST103", "Requested range not satisfiable").details(details)
}

/// The value of `Content-Range`.
pub(super) fn content_range(first: i64, last: i64, total: Option<i64>) -> String {
    let rows =
        if total != Some(0) && first <= last { format!("{first}-{last}") } else { "*".to_owned() };
    format!("{rows}/{}", total.map_or("*".to_owned(), |total| total.to_string()))
}

/// Status and `Content-Range` of a read of `rows` rows from `offset` on.
pub(super) fn read_status(offset: u64, rows: i64, total: Option<i64>) -> (u16, String) {
    let first = i64::try_from(offset).unwrap_or(i64::MAX);
    let last = first.saturating_add(rows).saturating_sub(1);
    let status = match total {
        None => 200,
        Some(total) if first > total => 416,
        Some(total) if last.saturating_sub(first).saturating_add(1) < total => 206,
        Some(_) => 200,
    };
    (status, content_range(first, last, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_parameters() {
        for (header, expected) in [
            ("0-9", Ok((0, Some(10)))),
            ("5-", Ok((5, None))),
            ("items=0-1", Ok((0, None))),
            ("9-5", Err(416)),
            ("", Ok((0, None))),
        ] {
            let got = Range::from_header(header);
            let got = got.map(|r| (r.offset, r.limit)).map_err(|e| e.status);
            assert_eq!(got, expected, "{header}");
        }
        for (limit, offset, expected) in [
            (Some("2"), Some("1"), Ok((1, Some(2)))),
            (Some("x"), None, Ok((0, None))),
            (Some("-1"), None, Err(416)),
            (Some("0"), None, Ok((0, Some(0)))),
        ] {
            let got = Range::from_parameters(limit, offset);
            let got = got.map(|r| (r.offset, r.limit)).map_err(|e| e.status);
            assert_eq!(got, expected, "{limit:?} {offset:?}");
        }
    }

    #[test]
    fn statuses() {
        for (offset, rows, total, expected) in [
            (0, 3, None, (200, "0-2/*")),
            (0, 0, None, (200, "*/*")),
            (0, 2, Some(9), (206, "0-1/9")),
            (0, 9, Some(9), (200, "0-8/9")),
            (100, 0, Some(9), (416, "*/9")),
            (0, 0, Some(0), (200, "*/0")),
        ] {
            let (status, range) = read_status(offset, rows, total);
            assert_eq!((status, range.as_str()), expected, "{offset} {rows} {total:?}");
        }
        let both = Range { offset: 2, limit: Some(10) }.intersect(Range { offset: 5, limit: None });
        assert_eq!(both, Range { offset: 5, limit: Some(7) });
        assert_eq!(both.capped(Some(3)).sql(), " limit 3 offset 5");
    }
}
