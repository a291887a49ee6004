//! Certificates of the tests' own authorities, in files that change as mounted Secrets do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::date_time_ymd;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::PrivatePkcs1KeyDer;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::support::in_project;

/// Issues certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The one key of all its certificates, where they are not to have one each.
    rsa: Option<String>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(KeyPair::generate().unwrap(), None)
    }

    /// One whose certificates are for RSA and its keys in the older form (`RSA PRIVATE KEY`), as
    /// Envoy Gateway makes them.
    pub(crate) fn rsa() -> Self {
        let text = fs::read_to_string(in_project("tests/pod/rsa.key")).unwrap();
        Self::with(rsa_key(&text), Some(text))
    }

    fn with(key: KeyPair, rsa: Option<String>) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // OpenSSL takes a certificate that bears its issuer's name for one that signed itself.
        let name = "authority of the tests";
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer, rsa }
    }

    /// Its own certificate, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names, as Envoy Gateway makes them: without extended key usages.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, 4_000)
    }

    /// A certificate that ends with the year before this one.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_after = date_time_ymd(year, 1, 1);
        let key = match &self.rsa {
            Some(text) => rsa_key(text),
            None => KeyPair::generate().unwrap(),
        };
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: self.rsa.clone().unwrap_or_else(|| key.serialize_pem()),
        }
    }
}

/// The key in the one form that rcgen reads, which has the other one in it.
fn rsa_key(text: &str) -> KeyPair {
    let older = PrivatePkcs1KeyDer::from_pem_slice(text.as_bytes()).unwrap();
    let long = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    };
    // Version 0, rsaEncryption without parameters, the key as an octet string.
    let head = b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let key = long(0x04, older.secret_pkcs1_der());
    let newer = long(0x30, &[&head[..], &key].concat());
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(newer)).unwrap()
}

/// A mounted Secret: its files are links through `..data`, which is swapped whole.
#[derive(Debug)]
pub(crate) struct Secret {
    folder: TempDir,
    version: usize,
}

impl Secret {
    /// With `ca.crt`, `tls.crt` and `tls.key`.
    pub(crate) fn new(authority: &Authority, pair: &Pair) -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["ca.crt", "tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
        }
        let mut secret = Self { folder, version: 0 };
        secret.swap(authority, pair);
        secret
    }

    /// Replaces all files at one moment.
    pub(crate) fn swap(&mut self, authority: &Authority, pair: &Pair) {
        self.version += 1;
        let name = format!("..{}", self.version);
        let folder = self.folder.path();
        let files = folder.join(&name);
        fs::create_dir(&files).unwrap();
        fs::write(files.join("ca.crt"), authority.certificate()).unwrap();
        fs::write(files.join("tls.crt"), &pair.certificate).unwrap();
        fs::write(files.join("tls.key"), &pair.key).unwrap();
        symlink(&name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    }

    /// One of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of its files, for a command line.
    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }
}
