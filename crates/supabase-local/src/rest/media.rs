//! Content negotiation: what the client can read.

use super::error::ApiError;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json {
        strip_nulls: bool,
    },
    /// Exactly one row, as an object.
    Object {
        strip_nulls: bool,
    },
    Csv,
}

impl Media {
    /// Chooses from an `Accept` header, by its weights and then by its order.
    pub(super) fn negotiate(accept: Option<&str>) -> Result<Self, ApiError> {
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
            return Ok(Self::Json { strip_nulls: false });
        };
        let mut wanted: Vec<(f32, &str)> =
            accept.split(',').map(|entry| (weight(entry), entry.trim())).collect();
        // The sort is stable, so the order of the header decides between equal weights.
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, entry) in &wanted {
            let mut parameters = entry.split(';').map(str::trim);
            let name = parameters.next().unwrap_or_default().to_ascii_lowercase();
            let strip_nulls = parameters.any(|parameter| parameter == "nulls=stripped");
            match name.as_str() {
                "application/json" | "*/*" | "application/*" => {
                    return Ok(Self::Json { strip_nulls: false });
                }
                "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array" => {
                    return Ok(Self::Json { strip_nulls });
                }
                "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object" => {
                    return Ok(Self::Object { strip_nulls });
                }
                "text/csv" => return Ok(Self::Csv),
                "application/vnd.pgrst.plan"
                | "application/vnd.pgrst.plan+json"
                | "application/vnd.pgrst.plan+text"
                | "application/geo+json"
                | "application/octet-stream"
                | "application/openapi+json"
                | "text/plain"
                | "text/xml" => {
                    return Err(ApiError::unsupported(&format!("the media type {name}")));
                }
                _ => {}
            }
        }
        let names: Vec<_> = wanted.iter().map(|(_, entry)| *entry).collect();
        Err(ApiError::new(
            406,
            "PGRST107",
            format!("None of these media types are available: {}", names.join(", ")),
        ))
    }

    /// The `Content-Type` of an answer in this form.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json { strip_nulls: false } => "application/json; charset=utf-8",
            Self::Json { strip_nulls: true } => {
                "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"
            }
            Self::Object { strip_nulls: false } => {
                "application/vnd.pgrst.object+json; charset=utf-8"
            }
            Self::Object { strip_nulls: true } => {
                "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"
            }
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

fn weight(entry: &str) -> f32 {
    entry
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("q="))
        .and_then(|value| value.parse().ok())
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers_are_weighed() {
        let json = Media::Json { strip_nulls: false };
        for (accept, expected) in [
            (None, Ok(json)),
            (Some("*/*"), Ok(json)),
            (Some("text/html, application/json;q=0.5"), Ok(json)),
            (Some("application/json;q=0.1, text/csv"), Ok(Media::Csv)),
            (
                Some("application/vnd.pgrst.object+json;nulls=stripped"),
                Ok(Media::Object { strip_nulls: true }),
            ),
            (Some("image/png"), Err(406)),
            (Some("application/geo+json"), Err(501)),
        ] {
            assert_eq!(
                Media::negotiate(accept).map_err(|error| error.status),
                expected,
                "{accept:?}"
            );
        }
    }
}
