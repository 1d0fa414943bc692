//! `/api/links/{token}`: a page with a button that does what a link in a mail says.
//!
//! Opening the page does nothing, because programs that look for malware open every link.

use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiState, PathOf, ProblemBody, RawBody};
use crate::{
    model::IncidentState,
    notify::{LinkAction, LinkClaims, SILENCE, link_digest},
    store::acts::{self, Act, Acted, Summary},
};

const TIME_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show_link, use_link))
}

/// A page that says what a link in a mail would do, with a button that does it.
#[utoipa::path(
    get, path = "/api/links/{token}", tag = "links", security(()),
    params(("token" = String, Path, description = "As it stands in the mail.")),
    responses(
        (status = 200, description = "The page.", content_type = "text/html", body = String),
        (status = 404, description = "The link is not genuine, or this daemon makes none.", content((String = "text/html"), (ProblemBody = "application/problem+json"))),
        (status = 410, description = "The link has expired, or its incident is not kept any more.", content_type = "text/html", body = String),
        (status = 503, description = "Not at the moment.", content((String = "text/html"), (ProblemBody = "application/problem+json"))),
    )
)]
async fn show_link(State(state): State<ApiState>, PathOf(token): PathOf<String>) -> Response {
    let (claims, summary) = match read(&state, &token).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let what = claims.action.label();
    if summary.state == IncidentState::Resolved && claims.action == LinkAction::Acknowledge {
        return page(StatusCode::OK, what, &about(&summary), "<p>The incident is over.</p>");
    }
    let who = match claims.recipients.as_slice() {
        [] | [_] => String::new(),
        several => {
            let option = |(n, to): (usize, &String)| {
                let to = escaped(to);
                let checked = if n == 0 { " checked" } else { "" };
                format!(
                    "<label><input type=\"radio\" name=\"who\" value=\"{to}\"{checked}> {to}</label><br>"
                )
            };
            let options: String = several.iter().enumerate().map(option).collect();
            format!("<fieldset><legend>Who are you?</legend>{options}</fieldset>")
        }
    };
    let form = format!("<form method=\"post\">{who}<button type=\"submit\">{what}</button></form>");
    page(StatusCode::OK, what, &about(&summary), &form)
}

/// Does what a link in a mail says, once.
#[utoipa::path(
    post, path = "/api/links/{token}", tag = "links", security(()),
    params(("token" = String, Path, description = "As it stands in the mail.")),
    request_body(content_type = "application/x-www-form-urlencoded", content = String, description = "`who`: which of the recipients it was.", example = "who=ada@example.com"),
    responses(
        (status = 200, description = "It is done, or was before.", content_type = "text/html", body = String),
        (status = 404, description = "The link is not genuine, or this daemon makes none.", content((String = "text/html"), (ProblemBody = "application/problem+json"))),
        (status = 409, description = "It cannot be done any more.", content_type = "text/html", body = String),
        (status = 410, description = "The link has expired, or its incident is not kept any more.", content_type = "text/html", body = String),
        (status = 503, description = "Not at the moment.", content((String = "text/html"), (ProblemBody = "application/problem+json"))),
    )
)]
async fn use_link(
    State(state): State<ApiState>,
    PathOf(token): PathOf<String>,
    RawBody(form): RawBody,
) -> Response {
    let (claims, summary) = match read(&state, &token).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let said = url::form_urlencoded::parse(&form).find(|(name, _)| name == "who");
    let said = said.map_or_else(String::new, |(_, who)| who.into_owned());
    let who = claims.recipients.iter().find(|to| **to == said).or(claims.recipients.first());
    let who = who.map_or("a recipient of the mail", String::as_str);
    let (act, done) = match claims.action {
        LinkAction::Acknowledge => (Act::Acknowledge, "The incident is acknowledged."),
        LinkAction::Silence => (Act::Silence(SILENCE), "The incident is silenced for an hour."),
    };
    let digest = link_digest(&token);
    let actor = format!("{who} (mail)");
    let acted = acts::act(&state.db, &digest, claims.incident, act, &actor, TIME_LIMIT).await;
    let what = claims.action.label();
    match acted {
        Ok(Acted::Done) => {
            tracing::info!(incident_id = %claims.incident, action = what, "a link of a mail was used");
            let text = format!("<p>{done}</p>");
            page(StatusCode::OK, what, &about(&summary), &text)
        }
        Ok(Acted::Already) => {
            let text = "<p>This link was used before; nothing was changed now.</p>";
            page(StatusCode::OK, what, &about(&summary), text)
        }
        Ok(Acted::Refused(why)) => {
            let text = format!("<p>That cannot be done: {}.</p>", escaped(&why));
            page(StatusCode::CONFLICT, what, &about(&summary), &text)
        }
        Err(error) => {
            tracing::warn!(%error, incident_id = %claims.incident, "a link of a mail could not be used");
            later(what)
        }
    }
}

/// What the token says and what it is about, or the page that says why that cannot be.
async fn read(state: &ApiState, token: &str) -> Result<(LinkClaims, Summary), Response> {
    let title = "Link";
    let Some(links) = &state.senders.controls().links else {
        let text = "<p>This daemon makes no links.</p>";
        return Err(page(StatusCode::NOT_FOUND, title, "", text));
    };
    let claims = links.read(token, state.clock.database_now()).map_err(|error| {
        let status = match error {
            crate::notify::LinkError::Expired => StatusCode::GONE,
            crate::notify::LinkError::NotGenuine => StatusCode::NOT_FOUND,
        };
        page(status, title, "", &format!("<p>Sorry: {error}.</p>"))
    })?;
    match acts::summary(&state.db, claims.incident, TIME_LIMIT).await {
        Ok(Some(summary)) => Ok((claims, summary)),
        Ok(None) => {
            Err(page(StatusCode::GONE, title, "", "<p>The incident is not kept any more.</p>"))
        }
        Err(error) => {
            tracing::warn!(%error, "a link of a mail could not be shown");
            Err(later(title))
        }
    }
}

fn later(title: &str) -> Response {
    let text = "<p>That does not work at the moment. Please try again.</p>";
    page(StatusCode::SERVICE_UNAVAILABLE, title, "", text)
}

fn about(summary: &Summary) -> String {
    let since = summary.started_at.to_chrono().format("%Y-%m-%d %H:%M UTC");
    let group = match summary.group_key.as_str() {
        "{}" => String::new(),
        group => format!("<br><code>{}</code>", escaped(group)),
    };
    let taken = if summary.acknowledged { ", acknowledged" } else { "" };
    format!(
        "<p><strong>{}</strong><br>{}, {}{taken}, since {since}{group}</p>",
        escaped(&summary.rule_name),
        summary.state,
        summary.level,
    )
}

/// A whole page; `about` and `content` are html already.
fn page(status: StatusCode, title: &str, about: &str, content: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <style>body{{margin:2rem auto;max-width:32rem;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}}\
         button{{font:inherit;padding:.5rem 1rem;margin-top:1rem}}</style></head>\n\
         <body><main><h1>{title}</h1>\n{about}\n{content}</main></body>\n</html>\n"
    );
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (status, headers, html).into_response()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
