//! A configuration that is changed while the broker runs, and SIGHUP.

use std::fs;

use broker::{Config, User};
use tempfile::NamedTempFile;

use super::client::{Client, connect, connect_with, login, publish, subscribe, text};
use super::permissions::town;
use super::program::{Running, run};
use super::tls::Authority;

/// A program with a file of settings that can be changed.
struct Reloadable {
    running: Running,
    file: NamedTempFile,
    config: Config,
}

impl Reloadable {
    fn new(config: Config) -> Self {
        let file = NamedTempFile::new().unwrap();
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..config };
        fs::write(file.path(), toml::to_string(&config).unwrap()).unwrap();
        let running = run(&["--config", file.path().to_str().unwrap()]);
        Self { running, file, config }
    }

    /// Writes something into the file, and has it read; what the log says of it.
    fn reload_as(&mut self, text: &str, said: &str) -> String {
        fs::write(self.file.path(), text).unwrap();
        self.running.signal("HUP");
        self.running.logged(said)
    }

    /// Changes the settings, which are to be taken over.
    fn change(&mut self, edit: impl FnOnce(&mut Config)) -> String {
        edit(&mut self.config);
        let text = toml::to_string(&self.config).unwrap();
        self.reload_as(&text, "the configuration was read again")
    }

    async fn logged_in(&self, user: &str) -> Client {
        Client::logged_in(self.running.address(), user, user).await
    }

    /// What the broker says to this.
    async fn answer(&self, connect: &[u8]) -> u8 {
        let mut client = Client::open(self.running.address()).await;
        client.send(connect).await;
        client.receive().await.unwrap().1[1]
    }
}

/// As `wattveil enrol` does it: one more user in the file.
#[tokio::test]
async fn who_is_new_gets_in_who_is_gone_is_cut_off_and_nobody_else_notices() {
    let mut broker = Reloadable::new(town());
    assert_eq!(broker.answer(&login("m9", "m9", "m9")).await, 4);
    let mut m1 = broker.logged_in("m1").await;
    let mut eve = broker.logged_in("eve").await;
    eve.send(&subscribe(1, "wv/1/town/status/#", 0)).await;
    assert_eq!(eve.receive().await, Some((0x90, vec![0, 1, 0])));
    let mut m2 = broker.logged_in("m2").await;
    let mut sink = broker.logged_in("sink").await;

    let said = broker.change(|config| config.users.push(User::with_random_password("m9", "meter", "m9")));
    assert!(said.contains("users=8") && said.contains("cut_off=0"), "{said}");
    let mut m9 = broker.logged_in("m9").await;
    for client in [&mut m1, &mut eve, &mut m2, &mut sink, &mut m9] {
        assert!(client.is_served().await);
    }

    let said = broker.change(|config| {
        config.users.retain(|user| user.name != "m2");
        let sink = config.users.iter_mut().find(|user| user.name == "sink").unwrap();
        *sink = User::with_random_password("sink", "sink", "changed");
    });
    assert!(said.contains("users=7") && said.contains("cut_off=2"), "{said}");
    assert!(m2.is_cut_off().await && sink.is_cut_off().await);
    assert_eq!(broker.answer(&login("m2", "m2", "m2")).await, 4);
    assert_eq!(broker.answer(&login("sink", "sink", "sink")).await, 4);
    assert_eq!(broker.answer(&login("sink", "changed", "sink")).await, 0);
    // one of those that stayed to another one
    m9.send(&publish(1, "wv/1/town/status/meter/m9", b"up")).await;
    assert_eq!(m9.receive().await, Some((0x40, vec![0, 1])));
    assert!(eve.receive().await.unwrap().1.ends_with(b"up"));
    assert!(m1.is_served().await);
}

/// Whoever has another role is cut off, and has nothing of what the old one let it subscribe to.
#[tokio::test]
async fn another_role_is_another_session() {
    let mut broker = Reloadable::new(town());
    let keep = connect_with(4, 0b1100_0000, 0, &["eve"; 3].map(text));
    let mut eve = Client::open(broker.running.address()).await;
    eve.send(&keep).await;
    assert_eq!(eve.receive().await, Some((0x20, vec![0, 0])));
    eve.send(&subscribe(1, "#", 1)).await;
    assert_eq!(eve.receive().await, Some((0x90, vec![0, 1, 1])));
    let role = |role: &'static str| {
        move |config: &mut Config| {
            config.users.iter_mut().find(|user| user.name == "eve").unwrap().role = role.to_owned();
        }
    };
    broker.change(role("meter"));
    assert!(eve.is_cut_off().await);
    let mut meter = broker.logged_in("m1").await;
    let status = "wv/1/town/status/meter/m1";
    meter.send(&publish(1, status, b"not for eve")).await;
    assert_eq!(meter.receive().await, Some((0x40, vec![0, 1])));
    let mut eve = Client::open(broker.running.address()).await;
    eve.send(&keep).await;
    assert_eq!(eve.receive().await, Some((0x20, vec![0, 0])), "another session");
    assert!(eve.is_served().await);
    eve.send(&subscribe(1, "#", 1)).await;
    assert_eq!(eve.receive().await, Some((0x90, vec![0, 1, 0x80])));
    // a session is kept when the new role may have its filters
    eve.send(&subscribe(1, "wv/1/town/roster", 1)).await;
    assert_eq!(eve.receive().await, Some((0x90, vec![0, 1, 1])));
    broker.change(role("observer"));
    assert!(eve.is_cut_off().await);
    let mut eve = Client::open(broker.running.address()).await;
    eve.send(&keep).await;
    assert_eq!(eve.receive().await, Some((0x20, vec![1, 0])), "the same session");
}

#[tokio::test]
async fn a_file_that_is_wrong_leaves_all_as_it_was() {
    let mut broker = Reloadable::new(town());
    let mut m1 = broker.logged_in("m1").await;
    let good = toml::to_string(&broker.config).unwrap();
    let role = good.replace("role = \"sink\"", "role = \"sunk\"");
    let user = "[[users]]\nname = \"m1\"\nrole = \"meter\"\npassword = \"m1\"\n";
    for (text, reason) in [
        ("max_conections = 3", "line 1: unknown field `max_conections`"),
        ("users = [", "line 1"),
        ("", "no [[users]] are left"),
        (user, "type `broker --hash-password`"),
        (&role, "user `sink` has the role `sunk`; there are aggregator"),
        (&good.replace("max_connections = 10000", "max_connections = 0"), "max_connections has to be from 1"),
        (&good.replace("127.0.0.1", "0.0.0.0"), "can be reached from other machines; give a certificate"),
    ] {
        let said = broker.reload_as(text, "not taken over");
        assert!(said.contains("all stays as it was") && said.contains(reason), "{said}");
        assert!(m1.is_served().await);
        assert!(broker.logged_in("m2").await.is_served().await);
    }
    fs::remove_file(broker.file.path()).unwrap();
    broker.running.signal("HUP");
    let said = broker.running.logged("not taken over");
    assert!(said.contains("cannot read the configuration"), "{said}");
    assert!(m1.is_served().await);
}

#[tokio::test]
async fn what_takes_effect_at_the_next_start_is_named() {
    let mut broker = Reloadable::new(town());
    let mut m1 = broker.logged_in("m1").await;
    broker.config.deployment = Some("city".into());
    broker.config.max_connections = 2;
    broker.config.users.push(User::with_random_password("m9", "meter", "m9"));
    let text = toml::to_string(&broker.config).unwrap();
    let said = broker.reload_as(&text, "at the next start");
    assert!(said.contains("parameters=\"deployment, max_connections\""), "{said}");
    broker.running.logged("the configuration was read again");
    let (mut m9, mut m2) = (broker.logged_in("m9").await, broker.logged_in("m2").await);
    // of the deployment that it was
    m9.send(&publish(1, "wv/1/town/status/meter/m9", b"up")).await;
    assert_eq!(m9.receive().await, Some((0x40, vec![0, 1])));
    assert!(m1.is_served().await && m2.is_served().await);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_who_comes_next() {
    let authority = Authority::new();
    let mut broker = Reloadable::new(authority.config());
    let address = broker.running.address();
    let mut seen = Vec::new();
    let mut stayed = Vec::new();
    for _ in 0..2 {
        let renewed = authority.renew();
        let said = broker.change(|_| ());
        assert!(said.contains("cut_off=0"), "{said}");
        let mut client = authority.open(address, Some(authority.issue("m3"))).await.unwrap();
        client.send(&connect(["m3", "m3-pub"][seen.len()])).await;
        assert_eq!(client.receive().await, Some((0x20, vec![0, 0])));
        let shown = client.0.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, renewed);
        seen.push(shown);
        stayed.push(client);
    }
    assert_ne!(seen[0], seen[1]);
    let mut by_password = authority.open(address, None).await.unwrap();
    by_password.send(&login("m1", "m1", "m1")).await;
    assert_eq!(by_password.receive().await, Some((0x20, vec![0, 0])));
    for client in &mut stayed {
        assert!(client.is_served().await);
    }
    // a key that is not the certificate's changes nothing
    let text = toml::to_string(&broker.config).unwrap();
    fs::copy(Authority::new().path("broker.key"), authority.path("broker.key")).unwrap();
    let said = broker.reload_as(&text, "not taken over");
    assert!(said.contains("is it the key of"), "{said}");
    let mut client = authority.open(address, None).await.unwrap();
    assert_eq!(client.0.get_ref().1.peer_certificates().unwrap()[0], seen[1]);
    client.send(&login("m2", "m2", "m2")).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 0])));
    // another authority over clients: who has shown a certificate of the old one's is to show another
    let other = Authority::new();
    authority.renew();
    fs::copy(other.path("ca.pem"), authority.path("ca.pem")).unwrap();
    let said = broker.change(|_| ());
    assert!(said.contains("cut_off=2"), "{said}");
    for client in &mut stayed {
        assert!(client.is_cut_off().await);
    }
    assert!(by_password.is_served().await);
    let mut client = authority.open(address, Some(other.issue("m3"))).await.unwrap();
    client.send(&connect("m3")).await;
    assert_eq!(client.receive().await, Some((0x20, vec![0, 0])));
}
