/* Placeholder until the layer has its first file. */
typedef int shunt_host_layer;
