//! The crates' own pages.

use std::fs;

use super::page::Page;
use crate::shell::{Shell, without_comment};
use crate::town::free_address;

/// The broker starts, open and as a deployment has it, and hashes a password.
pub(super) fn a_broker(page: &mut Page) {
    let shell = Shell::in_repository();
    shell.says(&format!("init town --meters a --broker {}", free_address()));
    shell.run("mv town/broker/* .");
    fs::write(shell.path("password"), "correct horse battery staple\n").unwrap();
    for _ in 0..2 {
        let shown = page.next();
        let started = without_comment(&shown.text);
        // a port of the machine may be somebody else's
        shell.run(&format!(
            "WATTVEIL_LISTEN={} {started} 2> broker.log & again 'grep -q listening broker.log' || {{ cat broker.log; exit 1; }}",
            free_address()
        ));
    }
    let out = shell.walk(&page.rest());
    assert!(out.contains("$argon2id$"), "{out}");
}

/// Its tests are run here or by `.ci/run`; its benchmark is there.
pub(super) fn the_brokers_tests(page: &mut Page) {
    let out = Shell::in_repository().walk(&page.rest());
    assert!(out.contains("hostile::mutated_packets_disturb_nobody ... ok"), "{out}");
}

/// The tour asserts what it says; the rest is there.
pub(super) fn lattices(page: &mut Page) {
    Shell::in_repository().walk(&page.rest());
}
