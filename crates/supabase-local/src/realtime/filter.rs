//! The `filter` of a `postgres_changes` entry: its grammar and its SQL.

/// One condition on a column; all conditions of an entry must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The column's name.
    pub column: String,
    /// How to compare.
    pub op: Op,
    /// The text to compare with; for `in` a Postgres array literal.
    pub value: String,
    /// Whether the condition was written with `not.`.
    pub negate: bool,
}

/// The comparison operators of the newest server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    In,
    Like,
    Ilike,
    Is,
    Match,
    Imatch,
    IsDistinct,
}

/// A list in an `in` filter may hold this many values.
pub const MAX_IN_VALUES: usize = 100;

const OPS: [(&str, Op); 13] = [
    ("eq", Op::Eq),
    ("neq", Op::Neq),
    ("lt", Op::Lt),
    ("lte", Op::Lte),
    ("gt", Op::Gt),
    ("gte", Op::Gte),
    ("in", Op::In),
    ("like", Op::Like),
    ("ilike", Op::Ilike),
    ("is", Op::Is),
    ("match", Op::Match),
    ("imatch", Op::Imatch),
    ("isdistinct", Op::IsDistinct),
];

impl Op {
    /// The name in a filter string.
    #[must_use]
    pub fn name(self) -> &'static str {
        OPS.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

/// Reads a filter string: conditions separated by commas outside brackets and quotes.
///
/// # Errors
/// The list that the real server prints after "Error parsing `filter` params: ".
pub fn parse(text: &str) -> Result<Vec<Filter>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    split_top_level(text).iter().map(|segment| parse_one(segment.trim())).collect()
}

fn parse_one(segment: &str) -> Result<Filter, String> {
    let Some((column, condition)) = segment.split_once('=') else {
        return Err(format!("[{segment:?}]"));
    };
    let (negate, condition) = match condition.strip_prefix("not.") {
        Some(rest) => (true, rest),
        None => (false, condition),
    };
    let Some((name, value)) = condition.split_once('.') else {
        return Err(format!("[{condition:?}]"));
    };
    let refused = || format!("[{name:?}, {value:?}]");
    let (_, op) = OPS.iter().find(|(known, _)| *known == name).ok_or_else(refused)?;
    let value = match op {
        Op::In => {
            let inner = value.strip_prefix('(').and_then(|v| v.strip_suffix(')'));
            format!("{{{}}}", inner.ok_or_else(refused)?)
        }
        _ => unquote(value),
    };
    Ok(Filter { column: column.trim().to_owned(), op: *op, value, negate })
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |v| v.replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn split_top_level(text: &str) -> Vec<String> {
    let (mut parts, mut current) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped, mut previous) = (0_u32, false, false, '\0');
    for letter in text.chars() {
        let opens = letter == '"' && matches!(previous, '.' | '(' | ',');
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted => quoted = false,
            _ if quoted => {}
            '"' if opens => quoted = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut current));
                previous = '\0';
                continue;
            }
            _ => {}
        }
        current.push(letter);
        previous = letter;
    }
    parts.push(current);
    parts
}

impl Filter {
    /// A boolean SQL expression over `column` (SQL text yielding `text`), with `type_name` the
    /// column's quoted type and `$parameter` bound to [`Filter::value`].
    #[must_use]
    pub fn sql(&self, column: &str, type_name: &str, parameter: usize) -> String {
        let compare = |operator: &str| {
            format!("{column}::{type_name} {operator} ${parameter}::text::{type_name}")
        };
        let pattern = |operator: &str| format!("{column}::text {operator} ${parameter}::text");
        let condition = match self.op {
            Op::Eq => compare("="),
            Op::Neq => compare("<>"),
            Op::Lt => compare("<"),
            Op::Lte => compare("<="),
            Op::Gt => compare(">"),
            Op::Gte => compare(">="),
            Op::IsDistinct => compare("is distinct from"),
            Op::In => format!("{column}::{type_name} = any(${parameter}::text::{type_name}[])"),
            Op::Like => pattern("like"),
            Op::Ilike => pattern("ilike"),
            Op::Match => pattern("~"),
            Op::Imatch => pattern("~*"),
            Op::Is => format!(
                "case lower(${parameter}::text) when 'null' then {column} is null \
                 when 'not null' then {column} is not null \
                 when 'unknown' then {column} is null \
                 else {column}::text::boolean is not distinct from ${parameter}::text::boolean end"
            ),
        };
        if self.negate { format!("not ({condition})") } else { format!("({condition})") }
    }

    /// How the real server prints a filter in its error messages.
    #[must_use]
    pub fn inspect(&self) -> String {
        let Self { column, op, value, negate } = self;
        format!("{{{column:?}, {:?}, {value:?}, {negate}}}", op.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_conditions() {
        let one = |text: &str| parse(text).unwrap().remove(0).inspect();
        assert_eq!(one("subject=eq.hey"), r#"{"subject", "eq", "hey", false}"#);
        assert_eq!(one("subject=in.(hidee,ho)"), r#"{"subject", "in", "{hidee,ho}", false}"#);
        assert_eq!(one("s=not.like.hey%"), r#"{"s", "like", "hey%", true}"#);
        assert_eq!(one(r#"s=eq."a,b""#), r#"{"s", "eq", "a,b", false}"#);
        assert_eq!(
            one("at=gt.2026-01-01T00:00:00.5"),
            r#"{"at", "gt", "2026-01-01T00:00:00.5", false}"#
        );
        assert_eq!(parse("id=gt.0,id=lt.100").unwrap().len(), 2);
        assert_eq!(parse("  ").unwrap(), vec![]);
    }

    #[test]
    fn refuses_in_the_real_servers_words() {
        assert_eq!(parse("subject=foo.hey").unwrap_err(), r#"["foo", "hey"]"#);
        assert_eq!(parse("undefined").unwrap_err(), r#"["undefined"]"#);
        assert_eq!(parse("s=in.1").unwrap_err(), r#"["in", "1"]"#);
    }
}
