//! The only two ways in which anything from a request gets into SQL.

/// A string literal without a type, so that PostgreSQL infers the type from where it stands.
///
/// With a backslash in it the literal is written as `E'…'`, which reads the same under every
/// setting of `standard_conforming_strings`. NUL cannot be in any PostgreSQL text and would end the
/// statement on the wire, so it goes; requests with one are refused before they get here.
pub(super) fn literal(text: &str) -> String {
    let escaped = text.replace('\0', "").replace('\'', "''");
    if escaped.contains('\\') {
        format!(" E'{}'", escaped.replace('\\', "\\\\"))
    } else {
        format!("'{escaped}'")
    }
}

/// A quoted name.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('\0', "").replace('"', "\"\""))
}

/// A quoted name with its schema.
pub(super) fn qualified(schema: &str, text: &str) -> String {
    format!("{}.{}", name(schema), name(text))
}

/// An array literal of texts.
pub(super) fn array(values: &[String]) -> String {
    let quoted: Vec<_> = values
        .iter()
        .map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    literal(&format!("{{{}}}", quoted.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        for (text, expected) in [
            ("abc", "'abc'"),
            ("it's", "'it''s'"),
            ("'; drop table x; --", "'''; drop table x; --'"),
            ("\\", " E'\\\\'"),
            ("\\'; --", " E'\\\\''; --'"),
            ("a\0b", "'ab'"),
            ("ä€", "'ä€'"),
        ] {
            assert_eq!(literal(text), expected, "{text:?}");
        }
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(
            array(&["a\"b".to_owned(), "c\\".to_owned()]),
            " E'{\"a\\\\\"b\",\"c\\\\\\\\\"}'"
        );
    }
}
