//! The managed identity endpoint (App Service 2019-08-01 and 2017-09-01).
