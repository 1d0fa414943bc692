//! Filters on columns.

use super::{
    cursor::{Cursor, Parsed, Stop},
    field::Field,
};

/// A condition on one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub field: Field,
    pub test: Test,
}

/// An operator with its value, perhaps negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub negate: bool,
    pub operation: Operation,
}

/// What a column is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An SQL operator and a value.
    Compare {
        operator: &'static str,
        value: String,
    },
    /// `like` and `ilike`, in which `*` stands for `%`.
    Like {
        operator: &'static str,
        value: String,
    },
    /// `any` or `all` of an array.
    Quantified {
        operator: &'static str,
        all: bool,
        value: String,
    },
    In(Vec<String>),
    /// The SQL word after `is`.
    Is(&'static str),
    IsDistinct(String),
}

/// The names of operators with what they are in SQL.
const OPERATORS: [(&str, &str); 18] = [
    ("eq", "="),
    ("neq", "<>"),
    ("gte", ">="),
    ("gt", ">"),
    ("lte", "<="),
    ("lt", "<"),
    ("like", "like"),
    ("ilike", "ilike"),
    ("match", "~"),
    ("imatch", "~*"),
    ("cs", "@>"),
    ("cd", "<@"),
    ("ov", "&&"),
    ("sl", "<<"),
    ("sr", ">>"),
    ("nxr", "&<"),
    ("nxl", "&>"),
    ("adj", "-|-"),
];

const TEXT_SEARCH: [&str; 4] = ["fts", "plfts", "phfts", "wfts"];

const EXPECTED: &str = "\"not\" or operator (eq, gt, ...)";

fn operator(name: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|(known, _)| *known == name).map(|(_, sql)| *sql)
}

/// Whether a parameter's value looks like a filter; in a function call what does not is an argument.
pub(super) fn is_filter(value: &str) -> bool {
    let (first, more) = match value.split_once('.') {
        Some((first, more)) => (first, !more.is_empty() || first != "not"),
        None => return false,
    };
    let base = first.split_once('(').map_or(first, |(base, _)| base);
    match base {
        "not" => more,
        "is" | "in" | "isdistinct" => true,
        name => operator(name).is_some() || TEXT_SEARCH.contains(&name),
    }
}

/// The value of a filter parameter, such as `not.eq.5`.
pub(super) fn parse_test(text: &str) -> Parsed<Test> {
    let mut cursor = Cursor::new(text);
    let test = test(&mut cursor, Cursor::rest)?;
    if cursor.at_end() { Ok(test) } else { Err(cursor.stop("end of input")) }
}

pub(super) fn test(cursor: &mut Cursor, value: impl Fn(&mut Cursor) -> String) -> Parsed<Test> {
    let negate = cursor.eat("not.");
    let operation = operation(cursor, value)?;
    Ok(Test { negate, operation })
}

fn operation(cursor: &mut Cursor, value: impl Fn(&mut Cursor) -> String) -> Parsed<Operation> {
    let start = cursor.position();
    let name = cursor.take_while(|c| c.is_ascii_alphabetic());
    let quantifier = match cursor.peek() {
        Some('(') => {
            cursor.eat("(");
            let inside = cursor.take_while(|c| c != ')');
            cursor.expect(")")?;
            Some(inside)
        }
        _ => None,
    };
    if TEXT_SEARCH.contains(&name.as_str()) {
        return Err(Stop::Unsupported(format!("full-text search ({name})")));
    }
    let known = matches!(name.as_str(), "in" | "is" | "isdistinct") || operator(&name).is_some();
    if !known || !cursor.eat(".") {
        cursor.go_back_to(start);
        return Err(cursor.stop(EXPECTED));
    }
    match (name.as_str(), quantifier.as_deref()) {
        ("in", None) => list(cursor).map(Operation::In),
        ("is", None) => is(cursor).map(Operation::Is),
        ("isdistinct", None) => Ok(Operation::IsDistinct(value(cursor))),
        (name, quantifier) => {
            let Some(operator) = operator(name) else {
                cursor.go_back_to(start);
                return Err(cursor.stop(EXPECTED));
            };
            match quantifier {
                None if matches!(name, "like" | "ilike") => {
                    Ok(Operation::Like { operator, value: value(cursor) })
                }
                None => Ok(Operation::Compare { operator, value: value(cursor) }),
                Some(word @ ("any" | "all")) if can_quantify(name) => {
                    let mut value = value(cursor);
                    if matches!(name, "like" | "ilike") {
                        value = value.replace('*', "%");
                    }
                    Ok(Operation::Quantified { operator, all: word == "all", value })
                }
                Some(_) => {
                    cursor.go_back_to(start);
                    Err(cursor.stop(EXPECTED))
                }
            }
        }
    }
}

fn can_quantify(name: &str) -> bool {
    matches!(name, "eq" | "gte" | "gt" | "lte" | "lt" | "like" | "ilike" | "match" | "imatch")
}

/// The words after `is`, in any case.
fn is(cursor: &mut Cursor) -> Parsed<&'static str> {
    let start = cursor.position();
    let word = cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_');
    match word.to_ascii_lowercase().as_str() {
        "null" => Ok("null"),
        "not_null" => Ok("not null"),
        "true" => Ok("true"),
        "false" => Ok("false"),
        "unknown" => Ok("unknown"),
        _ => {
            cursor.go_back_to(start);
            Err(cursor.stop("isVal: (null, not_null, true, false, unknown)"))
        }
    }
}

/// `(a,b,"c,d")`.
fn list(cursor: &mut Cursor) -> Parsed<Vec<String>> {
    cursor.spaces();
    cursor.expect("(")?;
    cursor.spaces();
    let mut values = Vec::new();
    loop {
        values.push(element(cursor));
        if cursor.eat(",") {
            continue;
        }
        cursor.spaces();
        cursor.expect(")")?;
        cursor.spaces();
        return Ok(values);
    }
}

/// A quoted text that ends where the element ends, else everything up to `,` or `)`.
pub(super) fn element(cursor: &mut Cursor) -> String {
    let start = cursor.position();
    if cursor.peek() == Some('"')
        && let Ok(text) = cursor.quoted()
        && matches!(cursor.peek(), None | Some(',' | ')'))
    {
        return text;
    }
    cursor.go_back_to(start);
    cursor.take_while(|c| !matches!(c, ',' | ')'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn show(test: &Test) -> String {
        let not = if test.negate { "not " } else { "" };
        match &test.operation {
            Operation::Compare { operator, value } | Operation::Like { operator, value } => {
                format!("{not}{operator} <{value}>")
            }
            Operation::Quantified { operator, all, value } => {
                format!("{not}{operator} {} <{value}>", if *all { "all" } else { "any" })
            }
            Operation::In(values) => format!("{not}in <{}>", values.join("|")),
            Operation::Is(word) => format!("{not}is {word}"),
            Operation::IsDistinct(value) => format!("{not}distinct <{value}>"),
        }
    }

    #[test]
    fn filters_are_read() {
        for (text, expected) in [
            ("eq.5", "= <5>"),
            ("eq.", "= <>"),
            ("not.eq.a.b,c", "not = <a.b,c>"),
            ("in.(1,\"a,b\",c d)", "in <1|a,b|c d>"),
            ("in.()", "in <>"),
            ("in.(\"a\"b)", "in <\"a\"b>"),
            ("is.NULL", "is null"),
            ("not.is.null", "not is null"),
            ("is.not_null", "is not null"),
            ("like.a*", "like <a*>"),
            ("like(any).{a*,b}", "like any <{a%,b}>"),
            ("eq(all).{1}", "= all <{1}>"),
            ("isdistinct.5", "distinct <5>"),
            ("cs.{x}", "@> <{x}>"),
            ("adj.(1,2)", "-|- <(1,2)>"),
        ] {
            assert_eq!(parse_test(text).as_ref().map(show), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn bad_filters_say_where() {
        for (text, at, words) in [
            ("foo.1", 0, "unexpected \"f\" expecting \"not\" or operator (eq, gt, ...)"),
            ("", 0, "unexpected end of input"),
            ("eq", 0, "unexpected \"e\""),
            ("is.maybe", 3, "unexpected \"m\" expecting isVal"),
            ("in.1", 3, "unexpected \"1\" expecting \"(\""),
            ("in.(1", 5, "unexpected end of input expecting \")\""),
            ("cs(any).1", 0, "operator"),
            ("eq(some).1", 0, "operator"),
        ] {
            match parse_test(text) {
                Err(Stop::Syntax { at: found, details }) => {
                    assert_eq!(found, at, "{text}");
                    assert!(details.contains(words), "{text}: {details}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse_test("fts(english).a"), Err(Stop::Unsupported(_))));
    }

    #[test]
    fn arguments_are_told_from_filters() {
        for (value, expected) in [
            ("eq.1", true),
            ("not.eq.1", true),
            ("is.null", true),
            ("in.(1)", true),
            ("fts(english).x", true),
            ("like(any).{a}", true),
            ("1", false),
            ("hello.world", false),
            ("not", false),
            ("", false),
        ] {
            assert_eq!(is_filter(value), expected, "{value}");
        }
    }
}
