// The options of openClassifier, read from JavaScript.
#pragma once

#include <napi.h>

#include "classifier.hpp"

namespace gabion::binding {

/// NativeClassifierOptions of lib/native.ts. Throws kInvalidArgument.
ClassifierOptions ToClassifierOptions(Napi::Env env, const Napi::Value& value);

}  // namespace gabion::binding
