//! Who a client is: by a password or by a certificate.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use rumqttd::protocol::Login;
use tokio::sync::Semaphore;

use crate::packet_filter::{Grant, Grants, Identity, Refusal};
use crate::user::StoredHash;
use crate::{BrokerError, Config, User};

/// The users; without any, everybody is let in as nobody in particular.
#[derive(Debug)]
pub(crate) struct Accounts {
    users: HashMap<Arc<str>, Account>,
    /// What is compared with for a user that is not there, so that the time does not tell.
    decoy: Option<Arc<StoredHash>>,
    /// Passwords that take long to check, and much memory, are checked so many at a time.
    checks: Arc<Semaphore>,
}

#[derive(Debug)]
struct Account {
    identity: Arc<Identity>,
    hash: Option<Arc<StoredHash>>,
    certificate: bool,
}

/// The accounts that there were, and whether those who may say who a client is are the same.
pub(crate) struct Before<'a> {
    pub(crate) accounts: &'a Accounts,
    pub(crate) same_authority: bool,
}

impl Accounts {
    /// Takes the users of a configuration. Whoever was there before and has not changed is who it was.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] for one that could never log in, or whose client ids are also another one's.
    pub(crate) fn new(config: &Config, before: Option<&Before<'_>>) -> Result<Self, BrokerError> {
        let mut grants = Grants::new();
        for (name, role) in config.roles_in_force() {
            let grant = Grant::new(&role, config.deployment.as_deref())
                .map_err(|pattern| BrokerError::Pattern { role: name.clone(), pattern })?;
            grants.insert(name, Arc::new(grant));
        }
        let certificates = config.tls.as_ref().is_some_and(|tls| tls.client_authority.is_some());
        let mut users = HashMap::new();
        let mut ids: HashMap<String, Arc<str>> = HashMap::new();
        for user in &config.users {
            let refused = |problem: String| BrokerError::User { user: user.name.clone(), problem };
            let (name, mut account) = account(user, &grants, certificates).map_err(refused)?;
            for id in account.identity.role().ids(&user.name).collect::<std::collections::BTreeSet<_>>() {
                if let Some(other) = ids.insert(id.clone(), Arc::clone(&name)) {
                    return Err(refused(format!(
                        "and user `{other}` could both be client `{id}`: rename one"
                    )));
                }
            }
            if let Some(known) = before.and_then(|before| before.same(&account)) {
                account.identity = Arc::clone(known);
            }
            if users.insert(name, account).is_some() {
                return Err(refused("is named twice".to_owned()));
            }
        }
        let decoy = users.values().filter_map(|account| account.hash.clone()).find(|hash| hash.cheap);
        let decoy = decoy.or_else(|| users.values().find_map(|account| account.hash.clone()));
        let checks = before.map_or_else(
            || Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, Into::into))),
            |before| Arc::clone(&before.accounts.checks),
        );
        Ok(Self { users, decoy, checks })
    }

    /// Whether somebody who was let in would be let in as the same now.
    pub(crate) fn know(&self, identity: Option<&Arc<Identity>>) -> bool {
        match identity {
            None => self.users.is_empty(),
            Some(identity) => {
                self.users.get(&identity.user).is_some_and(|account| Arc::ptr_eq(&account.identity, identity))
            }
        }
    }

    /// Who it is that has shown a certificate of the authority with this name, or gives this login; `None` when anybody
    /// is let in.
    ///
    /// # Errors
    ///
    /// [`Refusal::Credentials`], which does not tell which of them was wrong.
    pub(crate) async fn identify(
        &self,
        certificate: Option<&str>,
        login: Option<&Login>,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        if self.users.is_empty() {
            return Ok(None);
        }
        if let Some(name) = certificate {
            let named = login.is_none_or(|login| login.username == name);
            let account = self.users.get(name).filter(|account| named && account.certificate);
            return account.map(|account| Some(Arc::clone(&account.identity))).ok_or(Refusal::Credentials);
        }
        let login = login.ok_or(Refusal::Credentials)?;
        let account = self.users.get(&*login.username);
        let hash = account.and_then(|account| account.hash.as_ref());
        let Some(compared) = hash.or(self.decoy.as_ref()) else {
            return Err(Refusal::Credentials);
        };
        let right = self.check(Arc::clone(compared), &login.password).await;
        match account {
            Some(account) if right && hash.is_some() => Ok(Some(Arc::clone(&account.identity))),
            _ => Err(Refusal::Credentials),
        }
    }

    async fn check(&self, hash: Arc<StoredHash>, password: &str) -> bool {
        if hash.cheap {
            return hash.accepts(password.as_bytes());
        }
        let Ok(_turn) = self.checks.acquire().await else {
            return false;
        };
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || hash.accepts(password.as_bytes()));
        checked.await.unwrap_or(false)
    }
}

impl Before<'_> {
    /// Who it was that has this account, if nothing about it has changed.
    fn same(&self, account: &Account) -> Option<&Arc<Identity>> {
        let known = self.accounts.users.get(&account.identity.user)?;
        let same = known.hash == account.hash
            && known.certificate == account.certificate
            && (self.same_authority || !known.certificate)
            && known.identity.role() == account.identity.role();
        same.then_some(&known.identity)
    }
}

fn account(user: &User, grants: &Grants, certificates: bool) -> Result<(Arc<str>, Account), String> {
    if !user.has_fit_name() {
        return Err("has a name that is not 1 to 64 of a-z, A-Z, 0-9, -, _ and .".to_owned());
    }
    let Some(role) = grants.get(&user.role) else {
        let mut known: Vec<&str> = grants.keys().map(String::as_str).collect();
        known.sort_unstable();
        return Err(format!("has the role `{}`; there are {}", user.role, known.join(", ")));
    };
    let hash = match &user.password_hash {
        Some(text) => Some(Arc::new(StoredHash::parse(text).ok_or(
            "has a password_hash that is none of argon2, or would take too long; type `broker --hash-password`",
        )?)),
        None => None,
    };
    if hash.is_none() && !user.certificate {
        return Err("has neither password_hash nor `certificate = true`: it could never log in".to_owned());
    }
    if user.certificate && !certificates {
        return Err("is to log in by certificate; name the authority in [tls] client_authority".to_owned());
    }
    let name: Arc<str> = user.name.as_str().into();
    let identity = Arc::new(Identity::new(Arc::clone(&name), Arc::clone(role)));
    Ok((name, Account { identity, hash, certificate: user.certificate }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(users: Vec<User>) -> Result<Accounts, String> {
        let config = Config { users, ..Config::default() };
        Accounts::new(&config, None).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn whoever_knows_its_password_is_who_it_says() {
        let users = vec![
            User::with_random_password("m1", "meter", "right"),
            User {
                password_hash: Some(User::hash_password("chosen")),
                ..User::with_random_password("eve", "observer", "")
            },
        ];
        let accounts = accounts(users).unwrap();
        for (user, password, good) in [
            ("m1", "right", true),
            ("eve", "chosen", true),
            ("m1", "chosen", false),
            ("m1", "", false),
            ("nobody", "right", false),
            ("", "", false),
        ] {
            let login = Login { username: user.into(), password: password.into() };
            let identity = accounts.identify(None, Some(&login)).await;
            match identity {
                Ok(Some(identity)) => assert!(good && &*identity.user == user),
                _ => assert!(!good, "{user} {password}"),
            }
        }
        assert!(accounts.identify(None, None).await.is_err());
        assert!(accounts.identify(Some("m1"), None).await.is_err(), "it logs in by password");
        let nobody = Accounts::new(&Config::default(), None).unwrap();
        assert!(nobody.identify(None, None).await.unwrap().is_none());
    }

    #[test]
    fn a_user_that_cannot_be_is_answered_with_what_to_do() {
        let user = |name: &str, role: &str| User::with_random_password(name, role, "p");
        for (users, words) in [
            (vec![user("a/b", "meter")], "not 1 to 64 of"),
            (vec![user("a", "metre")], "there are aggregator, meter, observer, registrar, sink"),
            (vec![User::with_certificate("a", "meter")], "client_authority"),
            (vec![user("a", "meter"), user("a", "sink")], "rename one"),
            (vec![user("a", "meter"), user("meter-a", "observer")], "could both be client `meter-a`"),
            (vec![User { password_hash: None, ..user("a", "meter") }], "could never log in"),
            (vec![User { password_hash: Some("secret".into()), ..user("a", "meter") }], "--hash-password"),
        ] {
            let error = accounts(users).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }
    /// After a change, of which users it is known that they are who they were.
    #[tokio::test]
    async fn who_has_not_changed_is_who_it_was() {
        let users = |edit: &dyn Fn(&mut Vec<User>)| {
            let mut users = vec![
                // a hash that has no salt of its own each time
                User { password_hash: Some(HASH.into()), ..User::with_certificate("m1", "meter") },
                User {
                    certificate: false,
                    password_hash: Some(HASH.into()),
                    ..User::with_certificate("m2", "meter")
                },
                User::with_certificate("m3", "meter"),
            ];
            edit(&mut users);
            let authority = crate::TlsConfig {
                certificate: "a".into(),
                key: "b".into(),
                client_authority: Some("c".into()),
            };
            Config { users, tls: Some(authority), ..Config::default() }
        };
        let old = Accounts::new(&users(&|_| ()), None).unwrap();
        let identities = ["m1", "m2", "m3"].map(|name| Arc::clone(&old.users[name].identity));
        let known = |config: &Config, same_authority| {
            let accounts = Accounts::new(config, Some(&Before { accounts: &old, same_authority })).unwrap();
            assert!(!accounts.know(None), "nobody in particular");
            identities.each_ref().map(|identity| accounts.know(Some(identity)))
        };
        assert_eq!(known(&users(&|_| ()), true), [true; 3]);
        assert_eq!(known(&users(&|_| ()), false), [false, true, false]);
        assert_eq!(known(&users(&|users| drop(users.remove(1))), true), [true, false, true]);
        assert_eq!(known(&users(&|users| users[1].role = "observer".into()), true), [true, false, true]);
        let other = User::with_random_password("m2", "meter", "other").password_hash;
        assert_eq!(
            known(&users(&|users| users[1].password_hash.clone_from(&other)), true),
            [true, false, true]
        );
        assert_eq!(known(&users(&|users| users[0].certificate = false), true), [false, true, true]);
        // what a role may is a part of who has it
        let mut role = crate::Role::defaults().into_iter().find(|role| role.name == "meter").unwrap();
        assert_eq!(known(&Config { roles: vec![role.clone()], ..users(&|_| ()) }, true), [true; 3]);
        role.subscribe.push("more".into());
        assert_eq!(known(&Config { roles: vec![role], ..users(&|_| ()) }, true), [false; 3]);
    }

    const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$UGFzc3dvcmQgb2YgZXZlUGFzc3dvcmQgb2YgZXZl";
}
