/* Placeholder until the layer has its first file. */
typedef int shunt_core_layer;
