//! The `Prefer` header (RFC 7240) with PostgREST's preferences.

/// What to send back after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    Minimal,
    HeadersOnly,
    Representation,
}

/// What to do with a row that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    MergeDuplicates,
    IgnoreDuplicates,
}

/// The preferences of one request; each is the first valid one of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    pub resolution: Option<Resolution>,
    pub returning: Option<Return>,
    /// The kind as it was written: `exact`, `planned` or `estimated`.
    pub count: Option<String>,
    /// `Some(true)` for `missing=default`.
    pub missing_default: Option<bool>,
    /// `Some(true)` for `handling=strict`.
    pub strict: Option<bool>,
    pub max_affected: Option<i64>,
    pub timezone: Option<String>,
    pub invalid: Vec<String>,
}

/// Which preferences an answer may confirm; it depends on the kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    Read,
    Insert,
    Update,
    Delete,
    Call,
}

impl Preferences {
    pub(super) fn parse<'a>(headers: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for preference in headers.flat_map(|header| header.split(',')).map(str::trim) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match (name, value) {
                ("resolution", "merge-duplicates") => {
                    all.resolution.get_or_insert(Resolution::MergeDuplicates);
                }
                ("resolution", "ignore-duplicates") => {
                    all.resolution.get_or_insert(Resolution::IgnoreDuplicates);
                }
                ("return", "representation") => {
                    all.returning.get_or_insert(Return::Representation);
                }
                ("return", "minimal") => {
                    all.returning.get_or_insert(Return::Minimal);
                }
                ("return", "headers-only") => {
                    all.returning.get_or_insert(Return::HeadersOnly);
                }
                ("count", "exact" | "planned" | "estimated") => {
                    all.count.get_or_insert_with(|| value.to_owned());
                }
                ("missing", "default" | "null") => {
                    all.missing_default.get_or_insert(value == "default");
                }
                ("handling", "strict" | "lenient") => {
                    all.strict.get_or_insert(value == "strict");
                }
                ("timezone", zone) if !zone.is_empty() => {
                    all.timezone.get_or_insert_with(|| zone.to_owned());
                }
                ("max-affected", number) => {
                    if let Ok(number) = number.parse() {
                        all.max_affected.get_or_insert(number);
                    }
                }
                // Known, and without effect unless the server's operator allows it.
                ("tx", "commit" | "rollback") => {}
                _ => all.invalid.push(preference.to_owned()),
            }
        }
        all.invalid.retain(|preference| !preference.is_empty());
        all
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict == Some(true)
    }

    /// The value of `Preference-Applied`, in PostgREST's order.
    pub(super) fn applied(&self, confirm: Confirm) -> Option<String> {
        let write = matches!(confirm, Confirm::Insert | Confirm::Update | Confirm::Delete);
        let mut parts = Vec::new();
        if let (Confirm::Insert, Some(resolution)) = (confirm, self.resolution) {
            parts.push(match resolution {
                Resolution::MergeDuplicates => "resolution=merge-duplicates".to_owned(),
                Resolution::IgnoreDuplicates => "resolution=ignore-duplicates".to_owned(),
            });
        }
        if let (Confirm::Insert | Confirm::Update, Some(default)) = (confirm, self.missing_default)
        {
            parts.push(if default { "missing=default" } else { "missing=null" }.to_owned());
        }
        if let (true, Some(returning)) = (write, self.returning) {
            parts.push(match returning {
                Return::Minimal => "return=minimal".to_owned(),
                Return::HeadersOnly => "return=headers-only".to_owned(),
                Return::Representation => "return=representation".to_owned(),
            });
        }
        parts.extend(self.count.as_ref().map(|count| format!("count={count}")));
        if let Some(strict) = self.strict {
            parts.push(if strict { "handling=strict" } else { "handling=lenient" }.to_owned());
        }
        if let (true, Some(number), Confirm::Update | Confirm::Delete | Confirm::Call) =
            (self.is_strict(), self.max_affected, confirm)
        {
            parts.push(format!("max-affected={number}"));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, confirm: Confirm, applied: Option<&str>, invalid: &[&str]) {
        let preferences = Preferences::parse(std::iter::once(header));
        assert_eq!(preferences.applied(confirm).as_deref(), applied, "{header}");
        assert_eq!(preferences.invalid, invalid, "{header}");
    }

    #[test]
    fn preferences_are_confirmed_by_kind() {
        let all = "count=exact, return=representation,missing=default,resolution=merge-duplicates";
        check(
            all,
            Confirm::Insert,
            Some(
                "resolution=merge-duplicates, missing=default, return=representation, count=exact",
            ),
            &[],
        );
        check(all, Confirm::Read, Some("count=exact"), &[]);
        check(all, Confirm::Delete, Some("return=representation, count=exact"), &[]);
        check("tx=rollback", Confirm::Insert, None, &[]);
        check(
            "return=minimal, return=representation",
            Confirm::Update,
            Some("return=minimal"),
            &[],
        );
        check(
            "handling=strict, nonsense=1",
            Confirm::Read,
            Some("handling=strict"),
            &["nonsense=1"],
        );
        check(
            "handling=strict,max-affected=3",
            Confirm::Update,
            Some("handling=strict, max-affected=3"),
            &[],
        );
        check("", Confirm::Read, None, &[]);
    }
}
