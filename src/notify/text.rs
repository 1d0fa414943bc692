//! Taming text that others wrote: error messages, rule names, answers of servers.

/// One line of at most `max` characters: every run of white space and control characters becomes
/// one space, characters that reorder or hide text are left out, a cut is marked with `…`.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    // A megabyte of text must not cost a megabyte of work.
    let end = text.char_indices().nth(max.saturating_mul(8).saturating_add(64));
    let text = end.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(|c| !is_invisible(*c)).collect();
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    cut(&line, max)
}

/// Several lines of at most `max` characters in all, without control or invisible characters.
#[must_use]
pub fn lines(text: &str, max: usize) -> String {
    let tamed: String = text
        .chars()
        .take(max.saturating_mul(2))
        .filter(|c| *c == '\n' || !(c.is_control() || is_invisible(*c)))
        .collect();
    cut(tamed.trim(), max)
}

/// At most `max` characters; the last one is `…` where something was cut.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Direction overrides, joiners of no width and the like: they make text say what it does not.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A whole number with commas between thousands.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_leaves_nothing_that_breaks_a_header() {
        assert_eq!(one_line("a\r\nBcc: x@y.z\t\0b", 100), "a Bcc: x@y.z b");
        assert_eq!(one_line("  \u{202e}gpj.exe\u{200b}  ", 100), "gpj.exe");
        assert_eq!(one_line(&"é".repeat(500), 10), format!("{}…", "é".repeat(9)));
        assert_eq!(one_line("", 10), "");
        assert_eq!(one_line("abc", 0), "…");
    }

    #[test]
    fn lines_keeps_line_breaks_only() {
        assert_eq!(lines("a\nb\u{7}\r\nc\n", 100), "a\nb\nc");
        assert_eq!(lines("abcdef", 4), "abc…");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
