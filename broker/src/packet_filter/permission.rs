//! Who may publish and subscribe to what: roles as patterns of topics.
//!
//! What must stay true: a filter is let through only if every topic that it matches is matched by one pattern of the
//! role; whatever cannot be shown to be so is refused.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Role;

/// The client ids of one user: each stem, and it with one of these behind it.
const ID_ENDS: [&str; 4] = ["", "-pub", "-sub", "-in-sub"];

/// Somebody who has proved who it is, and what it may do.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    role: Arc<Grant>,
}

/// A role, ready for use.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Grant {
    ids: Vec<String>,
    publish: Vec<Pattern>,
    subscribe: Vec<Pattern>,
    pub(crate) topics: usize,
    pub(crate) filters: usize,
}

/// A filter with placeholders.
#[derive(Debug, Eq, PartialEq)]
struct Pattern(Vec<Level>);

#[derive(Debug, Eq, PartialEq)]
enum Level {
    Text(Box<str>),
    User,
    Any,
    Rest,
}

impl Grant {
    /// Compiles a role; `deployment` takes its placeholder, anything if there is none.
    ///
    /// # Errors
    ///
    /// The first pattern that is none.
    pub(crate) fn new(role: &Role, deployment: Option<&str>) -> Result<Self, String> {
        let all = |patterns: &[String]| {
            patterns.iter().map(|text| Pattern::parse(text, deployment)).collect::<Result<Vec<_>, _>>()
        };
        if let Some(id) = role.ids.iter().find(|id| !id.contains("{user}")) {
            return Err(id.clone());
        }
        Ok(Self {
            ids: role.ids.clone(),
            publish: all(&role.publish)?,
            subscribe: all(&role.subscribe)?,
            topics: role.topics,
            filters: role.filters,
        })
    }

    /// Every client id that a user of this role may connect with.
    pub(crate) fn ids(&self, user: &str) -> impl Iterator<Item = String> {
        self.ids
            .iter()
            .flat_map(move |stem| ID_ENDS.map(|end| format!("{}{end}", stem.replace("{user}", user))))
    }
}

impl Identity {
    pub(crate) fn new(user: Arc<str>, role: Arc<Grant>) -> Self {
        Self { user, role }
    }

    pub(crate) fn role(&self) -> &Grant {
        &self.role
    }

    pub(crate) fn may_be(&self, client: &str) -> bool {
        self.role.ids(&self.user).any(|id| id == client)
    }

    /// Takes a topic that has no wildcard.
    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        self.role.publish.iter().any(|pattern| pattern.covers(topic, &self.user))
    }

    /// Takes a filter whose wildcards are in their places.
    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        self.role.subscribe.iter().any(|pattern| pattern.covers(filter, &self.user))
    }
}

impl Pattern {
    fn parse(text: &str, deployment: Option<&str>) -> Result<Self, String> {
        let count = text.split('/').count();
        let level = |(place, level): (usize, &str)| match level {
            "#" if place + 1 == count => Ok(Level::Rest),
            "+" => Ok(Level::Any),
            "{user}" => Ok(Level::User),
            "{deployment}" => Ok(deployment.map_or(Level::Any, |name| Level::Text(name.into()))),
            level if level.contains(['+', '#', '{', '}']) => Err(text.to_owned()),
            level => Ok(Level::Text(level.into())),
        };
        text.split('/').enumerate().map(level).collect::<Result<_, _>>().map(Self)
    }

    /// Whether every topic that `filter` matches is one that this pattern matches; a topic is a filter for itself.
    fn covers(&self, filter: &str, user: &str) -> bool {
        let mut asked = filter.split('/');
        for level in &self.0 {
            // `a/#` matches `a` too, so that the rest may also be missing
            if *level == Level::Rest {
                return true;
            }
            let fits = match asked.next() {
                None | Some("#") => false,
                Some(text) => match level {
                    Level::Text(wanted) => **wanted == *text,
                    Level::User => text == user,
                    // `+` in the filter is within `+` here
                    Level::Any | Level::Rest => true,
                },
            };
            if !fits {
                return false;
            }
        }
        asked.next().is_none()
    }
}

/// The roles by name.
pub(crate) type Grants = HashMap<String, Arc<Grant>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(role: &str, user: &str) -> Identity {
        let roles = Role::defaults();
        let role = roles.iter().find(|known| known.name == role).unwrap();
        Identity::new(user.into(), Grant::new(role, Some("town")).unwrap().into())
    }

    #[test]
    fn each_role_has_its_own_and_nothing_else() {
        let meter = identity("meter", "m1");
        for own in
            ["agg/agg-1/share/m1", "agg/agg-2/grid/m1", "agg/agg-2/deal/m1", "status/meter/m1", "cert/m1"]
        {
            assert!(meter.may_publish(&format!("wv/1/town/{own}")), "{own}");
        }
        for other in [
            "agg/agg-1/share/m2",
            "status/meter/m2",
            "receipt/m1/agg-1",
            "query",
            "agg/agg-1/share",
            "roster",
        ] {
            assert!(!meter.may_publish(&format!("wv/1/town/{other}")), "{other}");
        }
        assert!(!meter.may_publish("wv/1/city/agg/agg-1/share/m1"), "another deployment");
        for own in ["receipt/m1/+", "receipt/m1/agg-2", "roster", "tariff/+", "outcome"] {
            assert!(meter.may_subscribe(&format!("wv/1/town/{own}")), "{own}");
        }
        for other in
            ["receipt/m2/+", "receipt/+/agg-1", "receipt/+/+", "receipt/m1/#", "receipt/#", "#", "agg/#"]
        {
            assert!(!meter.may_subscribe(&format!("wv/1/town/{other}")), "{other}");
        }
        assert!(!meter.may_subscribe("#") && !meter.may_subscribe("wv/1/+/roster"));
        assert!(meter.may_be("m1-pub") && meter.may_be("meter-m1-in-sub"));
        assert!(!meter.may_be("m2-pub") && !meter.may_be("m1-x") && !meter.may_be("meter-m11-pub"));

        let aggregator = identity("aggregator", "agg-1");
        assert!(aggregator.may_publish("wv/1/town/receipt/m1/agg-1"));
        assert!(aggregator.may_publish("wv/1/town/objection/agg-1"));
        assert!(!aggregator.may_publish("wv/1/town/receipt/m1/agg-2"));
        assert!(!aggregator.may_publish("wv/1/town/vote/agg-2"));
        for own in ["agg/agg-1/#", "agg/agg-1/share/+", "cert/+", "inventory/+"] {
            assert!(aggregator.may_subscribe(&format!("wv/1/town/{own}")), "{own}");
        }
        for other in ["agg/agg-2/#", "agg/+/share/m1", "agg/#", "result/+", "receipt/+/agg-1"] {
            assert!(!aggregator.may_subscribe(&format!("wv/1/town/{other}")), "{other}");
        }

        let sink = identity("sink", "sink");
        assert!(sink.may_publish("wv/1/town/query") && sink.may_subscribe("wv/1/town/result/+"));
        assert!(!sink.may_publish("wv/1/town/vote/agg-1") && !sink.may_subscribe("wv/1/town/agg/agg-1/#"));

        let observer = identity("observer", "eve");
        assert!(observer.may_subscribe("#") && observer.may_subscribe("wv/1/+/receipt/#"));
        assert!(!observer.may_publish("wv/1/town/status/meter/eve"));
    }

    /// Brute force over a small alphabet: a filter is covered if and only if no topic is matched by it alone.
    #[test]
    fn a_filter_is_covered_when_every_topic_it_matches_is() {
        fn words(alphabet: &[&str], length: usize) -> Vec<String> {
            let mut all: Vec<String> = Vec::new();
            let mut last = vec![String::new()];
            for depth in 0..length {
                last = last
                    .iter()
                    .flat_map(|start| {
                        alphabet.iter().map(move |level| {
                            if depth == 0 { (*level).to_owned() } else { format!("{start}/{level}") }
                        })
                    })
                    .collect();
                all.extend(last.clone());
            }
            all
        }
        let is_filter = |text: &String| text.split('/').rev().skip(1).all(|level| level != "#");
        // a third name, so that `+` is more than all the names that filters have
        let topics = words(&["a", "b", "c"], 4);
        let filters: Vec<String> = words(&["a", "b", "+", "#"], 3).into_iter().filter(is_filter).collect();
        let matches = |topic: &String, filter: &String| rumqttd::protocol::matches(topic, filter);
        for pattern in &filters {
            let compiled = Pattern::parse(pattern, None).unwrap();
            for filter in &filters {
                let covered = topics.iter().all(|topic| !matches(topic, filter) || matches(topic, pattern));
                let said = compiled.covers(filter, "u");
                // `#` is also what `+/#` says, which is refused rather than found out
                assert!(said == covered || (!said && filter == "#"), "{pattern} covers {filter}: {said}");
            }
            for topic in &topics {
                assert_eq!(compiled.covers(topic, "u"), matches(topic, pattern), "{pattern} {topic}");
            }
        }
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        for bad in ["a/#/b", "a+", "{usr}/a", "x{user}", "#a"] {
            assert!(Pattern::parse(bad, None).is_err(), "{bad}");
        }
        let role = Role { name: "r".into(), ids: vec!["fixed".into()], ..Role::default() };
        assert_eq!(Grant::new(&role, None).unwrap_err(), "fixed");
    }
}
