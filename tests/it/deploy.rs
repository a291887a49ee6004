//! What `deploy/` holds is fit to be deployed.

mod dockerfile;
mod gateway;
mod manifests;
