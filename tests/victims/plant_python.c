/* SPDX-License-Identifier: Apache-2.0 */
/* The planted leak for python3, called through ctypes: plant(count, size). */
#include "plant.h"

size_t plant(size_t count, size_t size);

__attribute__((visibility("default"))) VICTIM_NOINLINE size_t plant(size_t count, size_t size)
{
	size_t made = plant_outer(count, size);

	VICTIM_USE(made);
	return made;
}
