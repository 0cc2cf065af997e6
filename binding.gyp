{
  "targets": [
    {
      "target_name": "gabion",
      "type": "none",
      "actions": [
        {
          "action_name": "build_native",
          "inputs": ["CMakeLists.txt", "package.json"],
          "outputs": ["<(module_root_dir)/build/Release/gabion.node"],
          "action": ["node", "scripts/build-native.mjs"]
        }
      ]
    }
  ]
}
