#include "core/model/device.h"
