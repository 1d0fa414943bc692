//! Templates: what they can say, what stops them, and that nothing in them breaks out of a medium.

use super::{
    message::MessageKind,
    samples::{facts, hostile},
    slack,
    template::{Templates, Texts, check, render},
    template_watch::examples,
};
use crate::model::GroupField;

fn title(source: &str) -> (Texts, Vec<String>) {
    let templates = Templates { title: Some(source), body: None };
    let (texts, errors) = render(templates, &facts(MessageKind::Firing));
    (texts, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_template_says_what_its_author_wants() {
    let cases = [
        ("{{ rule.name }} in {{ project }}", "Payments failing in Acme"),
        ("[{{ level|upper }}] {{ value_text }} of {{ threshold_text }}", "[WARNING] 25 of 20"),
        ("{{ group.workflow }}: {{ group_text }}", "stripe-sync v3: stripe-sync v3, execution"),
        ("{% for t in top %}{{ t.count }}×{{ t.title[:4] }} {% endfor %}", "18×card 7×conn"),
        (
            "{% if kind == 'firing' %}new{% else %}old{% endif %} {{ trend }}",
            "new ······················▁·▂▁▃▄▆█",
        ),
        ("{{ value / threshold }}", "1.25"),
        ("{{ sentence }}\n second line", "25 errors in 5 min (threshold 20) second line"),
    ];
    for (source, expected) in cases {
        let (texts, errors) = title(source);
        assert_eq!((texts.title.as_deref(), errors), (Some(expected), vec![]), "{source}");
    }
}

#[test]
fn a_template_that_fails_leaves_the_built_in_text_and_says_why() {
    let cases = [
        ("{{ rule.name", "title_template: syntax error"),
        ("{{ rule.nmae }}", "title_template: there is no rule.nmae in line 1"),
        ("{{ grup }}", "title_template: there is no grup in line 1"),
        ("{{ rule.name|shout }}", "title_template: unknown filter"),
        ("{% include 'other' %}", "title_template: "),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
            "title_template: takes too long",
        ),
        ("{{ 'x' * 999999999 }}", "title_template: "),
        (
            "{% set a = 'x' * 9999 %}{% for i in range(9999) %}{{ a }}{% endfor %}",
            "title_template: takes too long",
        ),
        ("{{ 1 // 0 }}", "title_template: "),
    ];
    for (source, expected) in cases {
        let (texts, errors) = title(source);
        assert_eq!(texts.title, None, "{source}");
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{source}: {errors:?}");
        let note = texts.note.unwrap_or_default();
        assert!(note.starts_with("The rule's title_template: "), "{note}");
    }
    let long = "x".repeat(301);
    assert!(title(&long).1[0].contains("at most 300 characters"));
    // The body is still used where only the title fails.
    let templates = Templates { title: Some("{{ nothing }}"), body: Some("B {{ value }}") };
    let (texts, errors) = render(templates, &facts(MessageKind::Firing));
    assert_eq!((texts.body.as_deref(), errors.len()), (Some("B 25.0"), 1));
}

#[test]
fn what_comes_of_a_template_is_bounded_and_is_never_markup() {
    let body = "{{ title }}\n<!channel> <b>{{ top[0].title }}</b>\r\n{{ rule.description }}";
    let templates = Templates { title: Some("{{ rule.name }}<!here>"), body: Some(body) };
    let mut facts = hostile(MessageKind::Firing);
    let (texts, errors) = render(templates, &facts);
    assert!(errors.is_empty(), "{errors:?}");
    let title = texts.title.clone().unwrap_or_default();
    assert!(title.chars().count() <= 140 && !title.contains(char::is_control));
    assert!(texts.body.as_ref().is_some_and(|body| body.chars().count() <= 2_500));
    facts.texts = texts;
    let message = slack::render(&facts).to_string();
    assert!(!message.contains("<!") && !message.contains("<@"), "{message}");
}

#[test]
fn templates_are_checked_against_every_kind_of_message() {
    let examples = examples(&[GroupField::Source, GroupField::Workflow]);
    let ok = Templates {
        title: Some("{{ group.source }} {{ acknowledged_by or 'nobody' }}"),
        body: Some("{% if kind == 'resolved' %}{{ lasted }}{% endif %}{{ runs }}"),
    };
    assert_eq!(check(ok, &examples), []);
    let bad = Templates {
        title: Some("{{ group.severity }}"),
        body: Some("{% if kind == 'resolved' %}{{ lastd }}{% endif %}"),
    };
    let fields: Vec<_> = check(bad, &examples).iter().map(|error| error.field).collect();
    assert_eq!(fields, ["title_template", "body_template"]);
    assert_eq!(check(Templates::default(), &examples), []);
}
