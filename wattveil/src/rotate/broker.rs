//! The broker's next certificate, of the deployment's own authority.

use super::Rotated;
use deployment::Authority;
use deployment::directory::Directory;
use runtime::file;

/// Signs a new key of the broker, in a directory of its own: whoever runs the broker puts both files in the place of the
/// old ones. It is for the addresses that the registrar's configuration has, where the broker's listens if that is still
/// here, and what else is said.
pub(super) fn certify(directory: &Directory, also: Vec<String>) -> anyhow::Result<Rotated> {
    let root = directory.path.display();
    let home = directory.path.join("authority");
    anyhow::ensure!(
        home.join("ca.key").is_file(),
        "{} has no ca.key: the deployment was made without TLS, or that directory is kept elsewhere; bring it back, or have your own \
         authority sign a certificate for the broker's names",
        home.display()
    );
    let authority = Authority::read(&home, directory.roster.document().deployment.as_ref())?;
    let addresses = directory.config.broker.address.split(',');
    let mut names: Vec<String> = addresses
        .filter_map(|address| Some(address.trim().rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned()))
        .chain(also)
        .collect();
    let settings = directory.path.join("broker/broker.toml");
    if settings.is_file() {
        let listens = broker::Config::read(Some(&settings), &[])?.listen.ip();
        names.extend((!listens.is_unspecified()).then(|| listens.to_string()));
    }
    names.sort_unstable();
    names.dedup();
    // whoever types it again has not lost the one before, and more of them would not say which is in use
    let new = directory.path.join("broker-2");
    anyhow::ensure!(
        !new.exists(),
        "{new} has a certificate and key already, made before; put them in the place of the broker's, and remove {new}; then type the \
         same again for another",
        new = new.display()
    );
    authority.certify_broker(&file::new_directory(&new)?, &names)?;
    let new = new.display();
    Ok(Rotated {
        line: None,
        next: format!(
            "The broker's new certificate, for {} and this machine, and its key are in {new}; --also HOST adds a name. Put broker.pem and broker.key in the place of the old ones, in \
             the directory of the broker's broker.toml, and have the broker read them (systemctl reload wattveil-broker, or kill -HUP); then remove \
             {new}. Whoever took the word of {root}/authority takes it for the new one, too.\n",
            names.join(", "),
        ),
    })
}
