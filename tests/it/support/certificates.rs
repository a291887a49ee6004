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

/// Issues certificates.
#[derive(Debug)]
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // OpenSSL takes a certificate that bears its issuer's name for one that signed itself.
        let name = "authority of the tests";
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
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
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
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
