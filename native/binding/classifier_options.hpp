// The options of openClassifier, read from JavaScript.
#pragma once

#include <napi.h>

#include "classifier.hpp"

namespace gabion::binding {

/// The sizes of an encoder, fields of an object. Throws kInvalidArgument.
kernels::EncoderShape ToEncoderShape(const Napi::Object& object);

/// NativeCheckpoint of lib/native.ts. Throws kInvalidArgument.
CheckpointOptions ToCheckpoint(Napi::Env env, const Napi::Value& value);

/// NativeClassifierOptions of lib/native.ts. Throws kInvalidArgument.
ClassifierOptions ToClassifierOptions(Napi::Env env, const Napi::Value& value);

}  // namespace gabion::binding
