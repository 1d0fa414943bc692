//! Mails that tell several pieces of news: what some recipients have already does not come to them again.

use std::collections::BTreeMap;

use meshhook_errors::{model::TransitionKind as Kind, sinks::MailFault};

use crate::notify::rig::Rig;

#[tokio::test]
async fn a_digest_that_one_recipient_put_off_comes_to_the_others_once() {
    let mut rig = Rig::idle().await;
    rig.mail.script([MailFault::Greylist]);
    let channel = rig.mail_channel(&["ada@mesh.example", "bob@mesh.example"]).await;
    let mut incidents = Vec::new();
    let mut rows = Vec::new();
    for _ in 0..5 {
        let incident = rig.incident().await;
        rows.push(rig.notify(incident, channel, Kind::Firing).await);
        incidents.push(incident);
    }
    rig.start();
    rig.first_attempt(rows[0]).await;
    // News that comes meanwhile is for everybody, and not held up by what is only for some.
    let late = rig.incident().await;
    rows.push(rig.notify(late, channel, Kind::Firing).await);
    incidents.push(late);
    for row in rows {
        rig.until(row, "sent").await;
    }
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    for mail in rig.mail.mails() {
        let text = mail.data.replace("=\r\n", "");
        let text = text.split("text/html").next().unwrap_or_default();
        for incident in incidents.iter().filter(|incident| text.contains(&incident.to_string())) {
            for to in &mail.to {
                *told.entry((to.clone(), incident.to_string())).or_default() += 1;
            }
        }
    }
    assert_eq!(told.len(), 12, "each of six to each of two: {told:?}");
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    let digests = rig.mail.mails();
    assert!(
        digests[0].header("subject").is_some_and(|subject| subject.contains("5 alerts at once")),
        "{:?}",
        digests[0].header("subject")
    );
    assert_eq!(digests[0].header("auto-submitted").as_deref(), Some("auto-generated"));
}
