//! Curves as a picture: one panel a group, its total over time, and the band of a standard deviation around the mean.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::day::Day;
use crate::export::Kind;

/// What it is recognised by.
pub(super) const KIND: Kind = Kind::Svg("<svg xmlns=\"http://www.w3.org/2000/svg\" data-by=\"wattveil\"");

/// A panel's size.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 180.0;

/// Space around a panel, for its words.
const MARGIN: f64 = 36.0;

/// Draws the curves of days, in the order given, a panel for each group.
#[expect(clippy::cast_precision_loss, reason = "a picture is not that precise")]
pub(super) fn draw(days: &[Day]) -> String {
    let mut groups: BTreeMap<&str, Vec<&Day>> = BTreeMap::new();
    for day in days {
        groups.entry(&day.group).or_default().push(day);
    }
    let (width, panel) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let height = panel * groups.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" data-by=\"wattveil\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (row, (group, days)) in groups.iter().enumerate() {
        let slots: Vec<_> =
            days.iter().flat_map(|day| day.slots.iter().map(|slot| (day.members, slot))).collect();
        let most = slots.iter().map(|(_, slot)| slot.total).max().unwrap_or(0).max(1) as f64;
        let top = panel * row as f64 + MARGIN;
        let x = |t: usize| MARGIN + WIDTH * t as f64 / slots.len().max(2) as f64;
        let y = |total: f64| top + HEIGHT * (1.0 - (total / most).clamp(0.0, 1.0));
        let points = |of: &dyn Fn(usize) -> f64, order: &mut dyn Iterator<Item = usize>| {
            order.map(|t| format!("{:.1},{:.1}", x(t), y(of(t)))).collect::<Vec<_>>().join(" ")
        };
        let edge = |t: usize, sign: f64| {
            let (members, slot) = slots[t];
            let members = members as f64;
            members * (slot.mean.unwrap_or(0.0) + sign * slot.deviation.unwrap_or(0.0))
        };
        let upper = points(&|t| edge(t, 1.0), &mut (0..slots.len()));
        let lower = points(&|t| edge(t, -1.0), &mut (0..slots.len()).rev());
        let total = points(&|t| slots[t].1.total as f64, &mut (0..slots.len()));
        // A name of a-z, 0-9 and - needs no escape.
        let (from, to) = (days[0].date(), days[days.len() - 1].date());
        let drawn = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.0}\">{group}, {from} to {to}: at most {most:.0} Wh a slot; band: one standard \
             deviation across members</text>\n<polygon points=\"{upper} {lower}\" fill=\"#cfe3f5\"/>\n<polyline \
             points=\"{total}\" fill=\"none\" stroke=\"#1f5fa8\"/>\n<line x1=\"{MARGIN}\" y1=\"{:.0}\" x2=\"{:.0}\" \
             y2=\"{:.0}\" stroke=\"#888\"/>",
            top - 10.0,
            top + HEIGHT,
            MARGIN + WIDTH,
            top + HEIGHT
        );
        drawn.expect("a string takes every character");
    }
    svg + "</svg>\n"
}
