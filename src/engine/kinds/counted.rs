//! `count`, `rate` and `new_group`: values that only errors move.

use super::{Reading, Scene};

/// How many errors there are, or how many a minute. A new group counts like any other: what makes it
/// new is decided when its first error comes, in [`known`](super::super::known).
pub(super) fn read(scene: Scene<'_>) -> Reading {
    let errors = scene.errors();
    Reading::of(scene.rule, errors, scene.rule.value_of(errors))
}
