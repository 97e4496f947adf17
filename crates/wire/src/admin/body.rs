//! Bodies and path parameters of the administrator's API: strict in, plain out.

use super::error::AdminError;
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

/// A JSON body. Unknown members, a wrong content type and trailing text are refused.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(JsonRejection::BytesRejection(rejection))
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Err(AdminError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "TooLarge",
                    "the request body is too large",
                ))
            }
            // The text names the member and its place, and may quote what was sent there: what takes a secret is `Quiet`.
            Err(rejection) => Err(AdminError::bad_request(rejection.body_text())),
        }
    }
}

/// A JSON body that may hold a secret, such as a password: what is wrong with it is not quoted.
pub struct Quiet<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Quiet<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        match Body::<T>::from_request(request, state).await {
            Ok(Body(body)) => Ok(Self(body)),
            Err(error) if error.is_bad_request() => Err(AdminError::bad_request(
                "the request body is not what this route takes: does the version of `keyless` fit the server's?",
            )),
            Err(error) => Err(error),
        }
    }
}

/// A member that is there, `null` too.
///
/// # Errors
/// It is neither of its type nor `null`.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// One parameter of the path, parsed.
pub struct Segment<T>(pub T);

impl<S: Send + Sync, T> FromRequestParts<S> for Segment<T>
where
    T: std::str::FromStr + Send,
    T::Err: std::fmt::Display,
{
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| AdminError::bad_request(error.to_string()))
    }
}

/// The parameters of the query, parsed.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|rejection| AdminError::bad_request(rejection.body_text()))
    }
}

/// A list as it is answered.
#[derive(Serialize)]
pub struct List<T> {
    /// Its items.
    pub value: Vec<T>,
}

/// A JSON answer.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    (status, axum::Json(body)).into_response()
}
