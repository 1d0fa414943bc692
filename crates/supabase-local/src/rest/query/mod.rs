//! What the query string of a request says, in PostgREST's grammar.
//! Parsers live here; nothing that knows tables or writes SQL may.
//! The raw query string comes in, [`Query`] goes out, or the error that the client is told.

mod cursor;
mod field;
mod filter;
mod logic;
mod order;
mod select;

use std::collections::BTreeMap;

pub(super) use field::{Field, Key};
pub(super) use filter::{Filter, Operation, Test};
pub(super) use logic::Logic;
pub(super) use order::Order;
pub(super) use select::{Embed, Item};

use super::{error::ApiError, range::Range};
use cursor::Cursor;

/// The way to an embedded resource; empty for the resource of the URL itself.
pub(super) type Path = Vec<String>;

/// Everything in a query string.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub(super) select: Vec<Item>,
    pub(super) has_select: bool,
    pub(super) filters: Vec<(Path, Logic)>,
    pub(super) order: Vec<(Path, Vec<Order>)>,
    pub(super) ranges: BTreeMap<Path, Range>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) on_conflict: Option<Vec<String>>,
    /// Parameters of a function call that are no filters.
    pub(super) arguments: Vec<(String, String)>,
    /// Sorted and encoded again, for `Content-Location`.
    pub canonical: String,
}

impl Query {
    /// Reads a query string; in a `call` what does not look like a filter is an argument.
    ///
    /// # Errors
    /// What the client is told, where it cannot be read.
    pub fn parse(raw: &str, call: bool) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(raw.as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        if pairs.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
            return Err(ApiError::new(400, "PGRST100", "A NUL byte is not allowed in a URL"));
        }
        let mut query = Self { canonical: canonical(&pairs), ..Self::default() };
        let mut limits: BTreeMap<Path, (Option<&str>, Option<&str>)> = BTreeMap::new();
        for (key, value) in &pairs {
            match key.as_str() {
                "select" if !query.has_select => {
                    query.has_select = true;
                    query.select = select::parse(value)
                        .map_err(|stop| stop.answer("select parameter", value))?;
                }
                "columns" if query.columns.is_none() => {
                    query.columns = Some(names("columns parameter", value)?);
                }
                "on_conflict" if query.on_conflict.is_none() => {
                    query.on_conflict = Some(names("on_conflict parameter", value)?);
                }
                "select" | "columns" | "on_conflict" => {}
                _ => query.parameter(key, value, call, &mut limits)?,
            }
        }
        if query.select.is_empty() {
            query.select.push(Item::All);
        }
        for (path, (limit, offset)) in limits {
            query.ranges.insert(path, Range::from_parameters(limit, offset)?);
        }
        Ok(query)
    }

    fn parameter<'a>(
        &mut self,
        key: &str,
        value: &'a str,
        call: bool,
        limits: &mut BTreeMap<Path, (Option<&'a str>, Option<&'a str>)>,
    ) -> Result<(), ApiError> {
        let words: Vec<&str> = key.split('.').collect();
        let (last, before) = words.split_last().unwrap_or((&"", &[]));
        let path = || before.iter().map(|word| (*word).to_owned()).collect::<Path>();
        match *last {
            "order" => {
                let terms = order::parse(value).map_err(|stop| stop.answer("order", value))?;
                self.order.push((path(), terms));
            }
            "limit" => {
                limits.entry(path()).or_default().0.get_or_insert(value);
            }
            "offset" => {
                limits.entry(path()).or_default().1.get_or_insert(value);
            }
            "and" | "or" => {
                let negate = before.contains(&"not");
                let path = path().into_iter().filter(|word| word != "not").collect();
                let logic = logic::parse_logic(*last == "and", negate, value)
                    .map_err(|stop| stop.answer("logic tree", value))?;
                self.filters.push((path, logic));
            }
            _ if call && before.is_empty() && !filter::is_filter(value) => {
                self.arguments.push((key.to_owned(), value.to_owned()));
            }
            _ => {
                let (path, field) = field::tree_path(&mut Cursor::new(key))
                    .map_err(|stop| stop.answer("tree path", key))?;
                let test =
                    filter::parse_test(value).map_err(|stop| stop.answer("filter", value))?;
                self.filters.push((path, Logic::Filter(Filter { field, test })));
            }
        }
        Ok(())
    }

    /// The part of the rows that parameters ask for, if any.
    pub(super) fn range(&self, path: &[String]) -> Option<Range> {
        self.ranges.get(path).copied()
    }

    /// The conditions on the resource of the URL itself.
    pub(super) fn root_filters(&self) -> Vec<&Logic> {
        self.filters.iter().filter(|(path, _)| path.is_empty()).map(|(_, logic)| logic).collect()
    }
}

fn names(kind: &str, text: &str) -> Result<Vec<String>, ApiError> {
    field::columns(&mut Cursor::new(text)).map_err(|stop| stop.answer(kind, text))
}

fn canonical(pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(sorted).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_where_they_belong() {
        let query = Query::parse(
            "select=id,c(x)&n=eq.1&c.x=gt.2&not.or=(a.eq.1,b.eq.2)&order=id&c.order=x.desc&limit=5&offset=2&c.limit=1&columns=a,b&on_conflict=id&meta-%3E%3Ex=like.a*",
            false,
        )
        .unwrap();
        let paths: Vec<_> = query.filters.iter().map(|(path, _)| path.join(".")).collect();
        assert_eq!(paths, ["", "c", "", ""]);
        assert_eq!(query.range(&[]), Some(Range { offset: 2, limit: Some(5) }));
        assert_eq!(query.range(&["c".to_owned()]), Some(Range { offset: 0, limit: Some(1) }));
        assert_eq!(query.columns.unwrap(), ["a", "b"]);
        assert_eq!(query.on_conflict.unwrap(), ["id"]);
        assert_eq!(query.order.len(), 2);
    }

    #[test]
    fn calls_have_arguments() {
        let query = Query::parse("a=1&b=hello+world&i=eq.2&order=i", true).unwrap();
        let arguments: Vec<_> = query.arguments.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(arguments, ["a=1", "b=hello world"]);
        assert_eq!(query.filters.len(), 1);
    }

    #[test]
    fn bad_parameters_are_refused() {
        for (raw, message) in [
            ("n=foo.1", "\"failed to parse filter (foo.1)\" (line 1, column 1)"),
            ("select=a,", "\"failed to parse select parameter (a,)\" (line 1, column 3)"),
            ("order=a.b", "\"failed to parse order (a.b)\" (line 1, column 3)"),
            ("n=eq.%00", "A NUL byte is not allowed in a URL"),
        ] {
            let error = Query::parse(raw, false).unwrap_err();
            assert_eq!((error.status, error.body.message.as_str()), (400, message), "{raw}");
        }
    }
}
